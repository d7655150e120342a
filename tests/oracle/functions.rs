//! Which of the engine's many functions do random expressions call?

use rand::Rng;

use super::expressions::{Col, FAR_DAYS, Gen, LEAST, Ty};

impl Gen {
    /// A date that may lie outside the calendar.
    fn far_date(&mut self, cols: &[Col], depth: u32) -> String {
        self.label("far date");
        let date = self.expr(cols, Ty::Date, depth);
        let days = *self.pick(&FAR_DAYS);
        match self.rng.random_range(0..4) {
            0 => format!("({date} + {days})"),
            1 => format!("({date} - {days})"),
            2 => format!(
                "DATEADD(month, {}, {date})",
                self.pick(&["2147483647", "2147483646", "-2147483648", "3000000"])
            ),
            _ => format!("CAST({} AS DATE)", self.far_stamp(cols, depth)),
        }
    }

    /// A timestamp of any unit that may lie outside the calendar.
    fn far_stamp(&mut self, cols: &[Col], depth: u32) -> String {
        self.label("far timestamp");
        let number = self.expr(cols, Ty::Int, depth);
        let scale = *self.pick(&["980000000000000", "9000000000000", "1000000", "1"]);
        match self.rng.random_range(0..6) {
            0 | 1 => format!("CAST({number} * {scale} AS TIMESTAMP({}))", self.pick(&["0", "3", "6", "9"])),
            2 => format!("to_timestamp_micros({number} * {scale})"),
            3 => format!("to_timestamp_seconds({number} * {scale})"),
            4 => format!("from_unixtime({number} * {scale})"),
            _ => format!("to_timestamp_millis({number} * {scale})"),
        }
    }

    /// A call that fails, grows or takes long on some rows, where nobody sees to it.
    fn odd_text_call(&mut self, cols: &[Col], depth: u32) -> String {
        let a = self.expr(cols, Ty::Text, depth);
        match self.rng.random_range(0..16) {
            0 => format!("CAST({} AS VARCHAR)", self.far_date(cols, depth)),
            1 => format!("CAST({} AS VARCHAR)", self.far_stamp(cols, depth)),
            2 => format!("concat('on ', {})", self.far_date(cols, depth)),
            3 => format!("({} || {a})", self.far_date(cols, depth)),
            4 => format!("concat_ws('-', {}, {a})", self.far_stamp(cols, depth)),
            5 => {
                let far = if self.one_in(2) { self.far_stamp(cols, depth) } else { self.far_date(cols, depth) };
                format!("to_char({far}, '{}')", self.pick(&["%c", "%Y-%m", "%s", "%", "%Q", "%:z", "%9f", ""]))
            }
            6 => format!("lpad({a}, 1024, 'é')"),
            7 => format!(
                "concat({})",
                vec![format!("lpad({a}, {}, 'é')", self.pick(&["64", "200", "255"])); 4].join(", ")
            ),
            8 => format!("concat({})", vec![format!("lpad({a}, 1024, 'é')"); 51].join(", ")),
            9 => format!("upper(rpad({a}, {}, 'ΐ'))", self.pick(&["64", "341", "342"])),
            10 => format!("replace({a}, '{}', 'é')", self.pick(&["", "a"])),
            11 => format!(
                "regexp_replace({a}, '{}', '{}', 'g')",
                self.pick(&["", "(.)", "a.*b|a"]),
                self.pick(&["", "\\1\\1"])
            ),
            12 => format!("split_part({a}, '', {})", self.pick(&[LEAST, "9223372036854775807", "1"])),
            13 => format!(
                "overlay({a} PLACING 'x' FROM {} FOR {})",
                self.pick(&["0", "9223372036854775807", "1"]),
                self.pick(&[LEAST, "2"])
            ),
            14 => format!("substr_index({a}, '', {})", self.pick(&[LEAST, "9223372036854775807", "-1"])),
            _ => format!("translate({a}, 'ab', '東')"),
        }
    }

    /// A call of one of the functions of the table that give `ty`; wild ones may fail on any row.
    pub fn call(&mut self, cols: &[Col], ty: Ty, depth: u32) -> String {
        match ty {
            Ty::Int => self.integer_call(cols, depth),
            Ty::Float => self.float_call(cols, depth),
            Ty::Text => self.text_call(cols, depth),
            Ty::Date => self.date_call(cols, depth),
            Ty::Stamp => self.stamp_call(cols, depth),
            Ty::Bool => self.test_call(cols, depth),
        }
    }

    fn integer_call(&mut self, cols: &[Col], depth: u32) -> String {
        let (a, b) = (self.expr(cols, Ty::Int, depth), self.expr(cols, Ty::Int, 0));
        let text = self.expr(cols, Ty::Text, depth);
        let (stamp, other) = (self.expr(cols, Ty::Stamp, depth), self.literal(Ty::Stamp));
        let (label, call) = match self.rng.random_range(0..if self.wild { 20 } else { 16 }) {
            16 => ("fn:datediff", format!("DATEDIFF(day, {}, {})", self.far_date(cols, depth), self.literal(Ty::Date))),
            17 => {
                let part = *self.pick(&["year", "week", "doy", "hour", "second"]);
                ("part of a far time", format!("CAST(date_part('{part}', {}) AS BIGINT)", self.far_stamp(cols, depth)))
            }
            18 => (
                "fn:regexp_count",
                format!("regexp_count(lpad({text}, {}, 'a'), 'a.*b|a')", self.pick(&["64", "1024"])),
            ),
            19 => ("fn:character_length", format!("character_length({})", self.odd_text_call(cols, depth))),
            0 => ("fn:ascii", format!("ascii({text})")),
            1 => ("fn:bit_length", format!("bit_length({text})")),
            2 => ("fn:regexp_count", format!("regexp_count({text}, '[ab]')")),
            3 => ("fn:regexp_instr", format!("regexp_instr({text}, 'b')")),
            4 => ("fn:find_in_set", format!("find_in_set({text}, 'a,abc,b')")),
            5 => ("fn:gcd", format!("gcd({a}, {b})")),
            6 => ("fn:lcm", format!("lcm({a}, {b})")),
            7 if self.wild => ("fn:factorial", format!("factorial({a})")),
            7 => ("fn:factorial", format!("factorial(least(greatest({a}, 0), 9))")),
            8 => ("fn:to_unixtime", format!("to_unixtime({stamp})")),
            9 => ("fn:epoch", format!("CAST(date_part('epoch', {stamp}) AS BIGINT)")),
            10 => ("difference of timestamps", format!("CAST(date_part('day', {stamp} - {other}) AS BIGINT)")),
            11 => ("bits", format!("({a} {} {b})", self.pick(&["&", "|", "^"]))),
            12 => ("fn:nvl", format!("nvl({a}, {b})")),
            13 => ("fn:nvl2", format!("nvl2({text}, {a}, {b})")),
            14 if self.wild => ("fn:power", format!("CAST(power({a}, {b}) AS BIGINT)")),
            _ => ("fn:signum", format!("CAST(signum(CAST({a} AS DOUBLE)) AS BIGINT)")),
        };
        self.label(label);
        call
    }

    fn float_call(&mut self, cols: &[Col], depth: u32) -> String {
        let (a, b) = (self.expr(cols, Ty::Float, depth), self.expr(cols, Ty::Float, 0));
        let (label, call) = match self.rng.random_range(0..if self.wild { 18 } else { 16 }) {
            16 => {
                let other = self.literal(Ty::Date);
                ("fn:months_between", format!("MONTHS_BETWEEN({}, {other})", self.far_date(cols, depth)))
            }
            17 => ("fn:epoch", format!("date_part('epoch', {})", self.far_stamp(cols, depth))),
            0 => ("fn:signum", format!("signum({a})")),
            1 => ("fn:cbrt", format!("cbrt({a})")),
            2 => ("fn:atan", format!("atan({a})")),
            3 => ("fn:sin", format!("sin({a})")),
            4 => ("fn:cos", format!("cos({a})")),
            5 => ("fn:tanh", format!("tanh({a})")),
            6 => ("fn:degrees", format!("degrees({a})")),
            7 => ("fn:radians", format!("radians({a})")),
            8 => ("fn:power", format!("power({a}, {})", self.pick(&["2", "2.0", "3", "0.5", "0"]))),
            9 if self.wild => ("fn:log", format!("log({a}, {b})")),
            9 => ("fn:log", format!("log(2.0, abs({a}) + 1.0)")),
            10 => ("fn:nanvl", format!("nanvl({a}, {b})")),
            11 => ("fn:atan2", format!("atan2({a}, {b})")),
            12 if self.wild => ("fn:asin", format!("asin({a})")),
            13 if self.wild => ("fn:power", format!("power({a}, {b})")),
            14 if self.wild => {
                ("fn:tan", format!("{}({a})", self.pick(&["tan", "cot", "sinh", "cosh", "acosh", "atanh"])))
            }
            _ => ("fn:nvl", format!("nvl({a}, {b})")),
        };
        self.label(label);
        call
    }

    fn text_call(&mut self, cols: &[Col], depth: u32) -> String {
        let (a, b) = (self.expr(cols, Ty::Text, depth), self.expr(cols, Ty::Text, 0));
        let (date, stamp) = (self.expr(cols, Ty::Date, depth), self.expr(cols, Ty::Stamp, depth));
        let number = self.expr(cols, Ty::Int, depth);
        let (label, call) = match self.rng.random_range(0..if self.wild { 17 } else { 13 }) {
            13..=16 => ("odd text", self.odd_text_call(cols, depth)),
            0 => ("fn:replace", format!("replace({a}, 'a', 'bb')")),
            1 => ("fn:translate", format!("translate({a}, 'ab', 'xy')")),
            2 => ("fn:split_part", format!("split_part({a}, 'b', {})", self.pick(&["1", "2", "-1"]))),
            3 => ("fn:regexp_replace", format!("regexp_replace({a}, '[a-b]+', 'z')")),
            4 => ("fn:substr_index", format!("substr_index({a}, 'b', 1)")),
            5 => ("fn:to_char", format!("to_char({date}, '{}')", self.pick(&["%Y-%m", "%Y", "%d.%m.%Y", "Q"]))),
            6 => ("fn:to_char", format!("to_char({stamp}, '%H:%M')")),
            7 => ("fn:overlay", format!("overlay({a} PLACING 'x' FROM 1)")),
            8 => ("fn:concat_ws", format!("concat_ws('-', {a}, {b})")),
            9 => ("fn:to_hex", format!("to_hex({number})")),
            10 if self.wild => ("fn:chr", format!("chr({number})")),
            11 if self.wild => ("fn:split_part", format!("split_part({a}, '', 0)")),
            _ => ("fn:nvl", format!("nvl({a}, {b})")),
        };
        self.label(label);
        call
    }

    fn date_call(&mut self, cols: &[Col], depth: u32) -> String {
        let (date, stamp) = (self.expr(cols, Ty::Date, depth), self.expr(cols, Ty::Stamp, depth));
        let year = self.date_part(cols, depth);
        let (label, call) = match self.rng.random_range(0..if self.wild { 11 } else { 9 }) {
            9 => ("far date", self.far_date(cols, depth)),
            10 => ("far date", format!("CAST({} AS DATE)", self.far_stamp(cols, depth))),
            0 | 1 => ("date + interval", format!("({date} + {})", self.interval())),
            2 => ("date - interval", format!("({date} - {})", self.interval())),
            3 => ("fn:make_date", format!("make_date(CAST({year} AS INT), 1, 1)")),
            4 => (
                "fn:date_trunc",
                format!("CAST(date_trunc('{}', {date}) AS DATE)", self.pick(&["month", "year", "week"])),
            ),
            5 => ("fn:date_bin", format!("CAST(date_bin(INTERVAL '7 days', {stamp}) AS DATE)")),
            6 if self.wild => ("fn:to_date", format!("to_date({})", self.expr(cols, Ty::Text, depth))),
            7 if self.wild => {
                let parts: Vec<String> = (0..3).map(|_| self.expr(cols, Ty::Int, 0)).collect();
                ("fn:make_date", format!("make_date({})", parts.join(", ")))
            }
            _ => ("fn:nvl", format!("nvl({date}, {})", self.literal(Ty::Date))),
        };
        self.label(label);
        call
    }

    fn stamp_call(&mut self, cols: &[Col], depth: u32) -> String {
        let stamp = self.expr(cols, Ty::Stamp, depth);
        let (label, call) = match self.rng.random_range(0..if self.wild { 10 } else { 8 }) {
            8 => ("far timestamp", self.far_stamp(cols, depth)),
            9 => ("far timestamp", format!("CAST({} AS TIMESTAMP)", self.far_date(cols, depth))),
            0 | 1 => ("timestamp + interval", format!("({stamp} + {})", self.interval())),
            2 => ("timestamp - interval", format!("({stamp} - {})", self.interval())),
            3 => ("fn:date_trunc", format!("date_trunc('{}', {stamp})", self.pick(&["month", "hour", "day"]))),
            4 => ("fn:date_bin", format!("date_bin(INTERVAL '15 minutes', {stamp})")),
            5 if self.wild => ("fn:to_timestamp", format!("to_timestamp({})", self.expr(cols, Ty::Text, depth))),
            6 if self.wild => {
                ("fn:to_timestamp_seconds", format!("to_timestamp_seconds({})", self.expr(cols, Ty::Int, depth)))
            }
            _ => ("fn:nvl", format!("nvl({stamp}, {})", self.literal(Ty::Stamp))),
        };
        self.label(label);
        call
    }

    fn interval(&mut self) -> String {
        let tame = ["1 month", "10 days", "1 year", "36 hours", "-3 months", "1 month 2 days"];
        let wild = ["1 month", "2000000 years", "-300000 years", "2147483647 days", "1 day"];
        format!("INTERVAL '{}'", if self.wild { *self.pick(&wild) } else { *self.pick(&tame) })
    }

    fn test_call(&mut self, cols: &[Col], depth: u32) -> String {
        let text = self.expr(cols, Ty::Text, depth);
        let (label, call) = match self.rng.random_range(0..if self.wild { 9 } else { 7 }) {
            7 => ("far time", format!("({} IS NULL)", self.far_date(cols, depth))),
            8 => ("far time", format!("(-({} - {}) IS NULL)", self.far_stamp(cols, depth), self.literal(Ty::Stamp))),
            0 => ("fn:regexp_like", format!("regexp_like({text}, '^[ab]')")),
            1 => ("regular expression", format!("({text} ~ 'a.c')")),
            2 => ("regular expression", format!("({text} !~* 'B')")),
            3 => ("similar to", format!("({text} SIMILAR TO 'a|b')")),
            4 if self.wild => ("refused pattern", format!("({text} ~ '{}')", self.pick(&["(", "a{2", "["]))),
            5 => ("fn:isnan", format!("isnan({})", self.expr(cols, Ty::Float, depth))),
            _ => ("fn:iszero", format!("iszero({})", self.expr(cols, Ty::Float, depth))),
        };
        self.label(label);
        call
    }

    /// A group key of which the analyser should find every value by itself.
    pub fn public_key(&mut self, cols: &[Col]) -> Option<String> {
        let pick = |g: &mut Self, ty: Ty, only: fn(&Col) -> bool| {
            let of: Vec<String> = cols.iter().filter(|c| c.ty == ty && only(c)).map(|c| c.sql.clone()).collect();
            (!of.is_empty()).then(|| g.pick(&of).clone())
        };
        match self.rng.random_range(0..7) {
            0 => pick(self, Ty::Date, |_| true).map(|d| format!("date_trunc('month', {d})")),
            1 => pick(self, Ty::Stamp, |_| true).map(|d| format!("date_trunc('year', {d})")),
            2 => pick(self, Ty::Date, |_| true).map(|d| format!("to_char({d}, '%Y-%m')")),
            3 => pick(self, Ty::Int, |c| c.listed).map(|n| format!("(floor({n} / 2) * 2)")),
            4 => pick(self, Ty::Int, |c| c.listed)
                .map(|n| format!("CASE WHEN {n} < 2 THEN 'few' WHEN {n} < 1999 THEN 'some' END")),
            5 => pick(self, Ty::Int, |c| c.listed).map(|n| format!("(({n} % 3) + 1)")),
            _ => pick(self, Ty::Text, |c| c.listed).map(|t| format!("upper(coalesce({t}, 'none'))")),
        }
    }
}
