/* a */ SELECT -- b
COUNT(*) FROM person /* c