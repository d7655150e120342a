//! Does a cap admit what fits, and nothing else?

use super::*;

fn pure(epsilon: f64) -> Loss {
    Loss::pure(epsilon).unwrap_or_else(|_| Loss::zero())
}

fn cap() -> Cap {
    Cap { epsilon: 1.0, delta: 1e-6 }
}

#[test]
fn four_questions_of_a_quarter_fill_a_cap_exactly() {
    let mut total = Loss::zero();
    for n in 1..=4 {
        total = total.plus(&pure(0.25 - 2e-9)).unwrap_or_else(|_| Loss::zero());
        assert!(cap().admits(&total), "question {n}");
    }
    assert!(!cap().admits(&total.plus(&pure(0.01)).unwrap_or_else(|_| Loss::zero())));
}

#[test]
fn many_small_questions_fit_better_than_pure_composition_allows() {
    let mut total = Loss::zero();
    let mut questions = 0;
    while cap().admits(&total) {
        total = total.plus(&pure(0.005)).unwrap_or_else(|_| Loss::zero());
        questions += 1;
    }
    assert!(questions > 1000, "pure composition stops at 200, the Rényi filter went to {questions}");
}

#[test]
fn the_curve_is_never_above_epsilon_and_grows_with_the_order() {
    for epsilon in [1e-6, 0.01, 0.5, 1.0, 5.0, 40.0] {
        let loss = pure(epsilon);
        for index in 1..ORDERS.len() {
            assert!(loss.at(index) >= loss.at(index - 1), "{epsilon} at {index}");
            assert!(loss.at(index) <= epsilon + 3e-9, "{epsilon} at {index}");
        }
    }
}

#[test]
fn the_curve_matches_the_divergence_summed_by_hand() {
    for (epsilon, order) in [(0.1_f64, 2.0_f64), (1.0, 4.0), (3.0, 1.5)] {
        let p = epsilon.exp() / (1.0 + epsilon.exp());
        let by_hand = (p.powf(order) * (1.0 - p).powf(1.0 - order) + (1.0 - p).powf(order) * p.powf(1.0 - order)).ln()
            / (order - 1.0);
        assert!((randomised_response(epsilon, order) - by_hand).abs() < 1e-12);
    }
}

#[test]
fn a_gaussian_has_nothing_finite_at_infinity() {
    let loss = Loss::concentrated(0.01).unwrap_or_else(|_| Loss::zero());
    assert!(loss.at(ORDERS.len() - 1).is_infinite());
    assert!(loss.epsilon(1e-6) < 0.8);
    assert!(loss.epsilon(0.0).is_infinite());
}

#[test]
fn nothing_negative_or_endless_becomes_a_loss() {
    for bad in [-1.0, f64::NAN, f64::INFINITY] {
        assert!(Loss::pure(bad).is_err());
        assert!(Loss::concentrated(bad).is_err());
        assert!(Loss::zero().with_delta(bad).is_err());
        assert!(Cap::new(bad, 1e-6).is_err());
        assert!(Cap::new(1.0, bad).is_err());
    }
    assert!(Loss::pure(1e300).is_err());
}

#[test]
fn whichever_coordinate_stays_within_its_budget_their_deltas_add_up_to_that_of_the_cap() {
    for epsilon in [0.01, 0.1, 1.0, 8.0, 100.0] {
        for delta in [1e-12, 1e-9, 1e-6, 1e-2] {
            let cap = Cap { epsilon, delta };
            // The conversion the other way round: the δ at which the budget of an order alone would be (ε, δ)-DP.
            let finite = ORDERS.into_iter().enumerate().filter(|(_, order)| order.is_finite());
            let open = finite.filter(|(index, _)| cap.budget(*index) > 0.0);
            let used: f64 = open
                .map(|(i, a)| (((a - 1.0) / a).ln() * (a - 1.0) - a.ln() + (a - 1.0) * (cap.budget(i) - epsilon)).exp())
                .sum();
            assert!(used <= delta * ORDERS_PART * (1.0 + 1e-6), "({epsilon}, {delta}): {used}");
            let as_gaussian = gaussian::delta(cap.budget(GAUSSIAN).sqrt(), epsilon);
            assert!(as_gaussian <= delta * GAUSSIAN_PART, "({epsilon}, {delta}): {as_gaussian}");
            assert!(as_gaussian > delta * GAUSSIAN_PART * 0.999, "({epsilon}, {delta}): {as_gaussian}, wasted");
            let all = used + as_gaussian + cap.thresholds_delta();
            assert!(all <= delta * (1.0 + 1e-6), "({epsilon}, {delta}): {all}");
        }
    }
}

/// The analyst of whom the union bound is for: after a first answer, goes on with questions that only the order
/// which suits that answer admits. Two-point losses meet the conversion of their order exactly.
#[test]
fn choosing_the_order_after_an_answer_gains_nothing_beyond_delta() {
    let cap = Cap { epsilon: 1.0, delta: 1e-6 };
    let orders: Vec<(usize, f64)> =
        ORDERS.into_iter().enumerate().filter(|(i, a)| a.is_finite() && cap.budget(*i) > 0.0).collect();
    assert!(orders.len() > 4);
    // What each order, with all of its budget after a loss l, can add to the chance of passing ε.
    let failing = |(index, order): (usize, f64), l: f64, spent: f64| {
        let most = ((order - 1.0) * (cap.budget(index) - spent)).exp();
        let passes = cap.epsilon - l;
        let conversion = ((order - 1.0) / order).ln() * (order - 1.0) - order.ln() - (order - 1.0) * passes;
        conversion.exp() * most
    };
    // A first question with a few possible losses, each rare enough to suit one order.
    let first: Vec<(f64, f64)> = (0..8).map(|n| (0.09 * f64::from(n), 10_f64.powi(-n))).collect();
    let all: f64 = first.iter().map(|(_, p)| p).sum();
    let spent =
        |order: f64| (first.iter().map(|(l, p)| p / all * ((order - 1.0) * l).exp()).sum::<f64>()).ln() / (order - 1.0);
    let best = |l: f64| orders.iter().map(|o| failing(*o, l, spent(o.1))).fold(0.0, f64::max);
    let delta: f64 = first.iter().map(|(l, p)| p / all * best(*l)).sum();
    let part = cap.delta * ORDERS_PART;
    assert!(delta <= part, "{delta}");
    // With the whole of it at every order it would pass: the check can fail.
    let naive: f64 = first
        .iter()
        .map(|(l, p)| {
            let at = |o: &(usize, f64)| {
                let more = conversion(o.1, cap.delta_part(ORDERS_PART, o.0.abs_diff(cap.main_order())))
                    - conversion(o.1, part);
                failing(*o, *l, spent(o.1)) * ((o.1 - 1.0) * more).exp()
            };
            p / all * orders.iter().map(at).fold(0.0, f64::max)
        })
        .sum();
    assert!(naive > part, "{naive}");
}

#[test]
fn deltas_beyond_the_part_of_thresholds_are_refused_whatever_epsilon_is_left() {
    let loss = |delta| Loss::zero().with_delta(delta).unwrap_or_else(|_| Loss::zero());
    assert!(cap().admits(&loss(1.25e-7)));
    assert!(!cap().admits(&loss(1.26e-7)));
}

#[test]
fn what_remains_is_what_still_fits() {
    let left = cap().remaining(&pure(0.25));
    assert!((left - 0.75).abs() < 1e-6, "{left}");
    assert!(cap().remaining(&pure(5.0)).abs() < f64::EPSILON);
}

fn with_gaussian(rho: f64) -> Loss {
    Loss::gaussian(rho).unwrap_or_else(|_| Loss::everything())
}

/// The analyst who chooses the family after an answer: a first Gaussian has taken half of the Gaussian budget, and what
/// follows is, for each loss that it can have come to, either the Gaussian of the other half or the two points that meet the
/// conversion of the order that suits it.
#[test]
fn choosing_the_family_after_an_answer_gains_nothing_beyond_delta() {
    for cap in [Cap { epsilon: 1.0, delta: 1e-6 }, Cap { epsilon: 8.0, delta: 1e-9 }] {
        let mu_squared = cap.budget(GAUSSIAN) / 2.0;
        let (mean, deviation) = (mu_squared / 2.0, mu_squared.sqrt());
        // `scale` multiplies the δ that each family is given.
        let passing = |scale_orders: f64, scale_gaussian: f64| {
            let wider = gaussian::budget(cap.epsilon, cap.delta * GAUSSIAN_PART * scale_gaussian);
            let rest = (wider - mu_squared).sqrt();
            let best = |l: f64| {
                let as_gaussian = gaussian::delta(rest, cap.epsilon - l);
                let open = ORDERS.into_iter().enumerate().filter(|(i, a)| a.is_finite() && cap.budget(*i) > 0.0);
                let at = |(index, order): (usize, f64)| {
                    let left = cap.budget(index) + scale_orders.ln() / (order - 1.0) - order * mu_squared / 2.0;
                    if left < 0.0 {
                        return 0.0;
                    }
                    let conversion = ((order - 1.0) / order).ln() * (order - 1.0) - order.ln();
                    (conversion + (order - 1.0) * (left - cap.epsilon + l)).exp().min(1.0)
                };
                open.map(at).fold(as_gaussian, f64::max)
            };
            let chance = |l: f64| (-((l - mean) / deviation).powi(2) / 2.0).exp();
            let losses = || (-900..=900).map(|n| mean + deviation * f64::from(n) / 100.0);
            losses().map(|l| chance(l) * best(l)).sum::<f64>() / losses().map(chance).sum::<f64>()
        };
        let all = cap.delta - cap.thresholds_delta();
        let delta = passing(1.0, 1.0);
        assert!(delta <= all, "{delta} of {all}");
        // The Gaussian family alone uses its part, and with all of δ for each family it would pass: the check can fail.
        assert!(delta >= cap.delta * GAUSSIAN_PART * 0.99, "{delta}");
        let naive = passing((1.0 - THRESHOLDS_PART) / ORDERS_PART, (1.0 - THRESHOLDS_PART) / GAUSSIAN_PART);
        assert!(naive > all, "{naive} of {all}");
    }
}

#[test]
fn gaussians_fill_the_gaussian_coordinate_beyond_what_every_order_bears() {
    let cap = cap();
    let rho = cap.budget(GAUSSIAN) / 2.0;
    let mut total = Loss::zero();
    for n in 1..=200 {
        total = total.plus(&with_gaussian((rho - 1e-9) / 200.0)).unwrap_or_else(|_| Loss::everything());
        assert!(cap.admits(&total), "question {n}");
    }
    assert!((0..ORDERS.len()).all(|index| total.at(index) > cap.budget(index)), "no order bears it");
    assert!(!cap.admits(&total.plus(&with_gaussian(rho / 200.0)).unwrap_or_else(|_| Loss::everything())));
    // Nothing is known of another mechanism of the same ρ as a Gaussian.
    let other = Loss::concentrated(rho).unwrap_or_else(|_| Loss::zero());
    assert!(other.at(GAUSSIAN).is_infinite() && !cap.admits(&other));
}

#[test]
fn the_gaussian_of_a_pure_loss_and_of_a_choice_are_at_least_what_they_dominate() {
    for epsilon in [1e-6, 0.01, 0.5, 1.0, 5.0, 40.0] {
        assert!(pure(epsilon).at(GAUSSIAN) >= gaussian::of_pure(epsilon));
        let rho = epsilon * epsilon / 8.0;
        let choices = Loss::choices(rho, 3).unwrap_or_else(|_| Loss::zero());
        assert!(choices.at(GAUSSIAN) >= 3.0 * gaussian::of_range(epsilon), "{epsilon}");
        assert!(choices.at(2) >= 2.0 * 3.0 * rho && choices.at(ORDERS.len() - 1).is_infinite());
    }
    assert_eq!(Loss::gaussian(0.0), Ok(Loss::zero()));
    assert!(Loss::pure(1e8).is_ok_and(|huge| huge.at(GAUSSIAN).is_infinite()), "beyond the integers nothing is known");
}

#[test]
fn a_gaussians_epsilon_is_the_exact_one() {
    let rho = gaussian::budget(1.0, 1e-6) / 2.0;
    let (exact, by_orders) = (with_gaussian(rho).epsilon(1e-6), Loss::concentrated(rho).map(|l| l.epsilon(1e-6)));
    assert!((exact - 1.0).abs() < 1e-4, "{exact}");
    assert!(by_orders.is_ok_and(|epsilon| epsilon > 1.05), "the best order alone says more");
}

#[test]
fn what_was_written_before_there_was_a_gaussian_coordinate_is_finite_at_the_orders_alone() {
    let read = |text: &str| serde_json::from_str::<Loss>(text).unwrap_or_else(|_| Loss::everything());
    let written = |loss: &Loss| serde_json::to_string(loss).unwrap_or_default();
    let nothing = r#"{"nanos":[0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0],"delta_attos":0}"#;
    assert_eq!(read(nothing), Loss::zero());
    let old = r#"{"nanos":[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17],"delta_attos":5}"#;
    assert!(read(old).at(GAUSSIAN).is_infinite() && (read(old).at(16) - 17e-9).abs() < 1e-15);
    // Byte by byte what was signed, and what it was when it is read again.
    assert_eq!((written(&read(nothing)), written(&read(old))), (nothing.to_owned(), old.to_owned()));
    for loss in [pure(0.5), with_gaussian(0.01), Loss::concentrated(0.01).unwrap_or_else(|_| Loss::zero())] {
        assert_eq!(read(&written(&loss)), loss);
        let both = read(old).plus(&loss).unwrap_or_else(|_| Loss::zero());
        assert!(both.at(GAUSSIAN).is_infinite(), "what is unknown stays unknown");
        assert_eq!(read(&written(&both)), both);
        assert!(read(old).at_most(&both) && read(nothing).at_most(&loss), "no witness sees an account fall");
    }
    assert!(written(&pure(0.5)).contains("gaussian_picos"));
}

#[test]
fn what_remains_after_gaussians_is_the_epsilon_of_the_share_that_is_left() {
    let cap = cap();
    for questions in [2_u32, 20, 200] {
        let one = cap.budget(GAUSSIAN) / 2.0 / f64::from(questions) - 1e-9;
        let mut spent = Loss::zero();
        for asked in 1..questions {
            spent = spent.plus(&with_gaussian(one)).unwrap_or_else(|_| Loss::everything());
            let left = cap.remaining(&spent);
            let share = cap.share_of(left).unwrap_or(f64::INFINITY);
            let open = 1.0 - f64::from(asked) / f64::from(questions);
            assert!(share <= open + 1e-3 && share > open * 0.99, "{asked} of {questions}: {left} is {share} of {open}");
        }
    }
}

#[test]
fn what_was_admitted_before_is_within_delta_and_no_order_has_more_of_it_now() {
    for epsilon in [0.01, 0.1, 1.0, 8.0, 100.0] {
        for delta in [1e-12, 1e-9, 1e-6, 1e-2] {
            let cap = Cap { epsilon, delta };
            let (now, before) = (cap.budgets_nanos(ORDERS_PART), cap.budgets_nanos(PART_BEFORE));
            assert!(now.iter().zip(before).all(|(now, before)| *now <= before), "({epsilon}, {delta})");
        }
    }
    let old = |nanos: u64| Loss { nanos: [nanos; ORDERS.len()], gaussian_picos: INFINITE, delta_attos: 0 };
    let cap = cap();
    let (main, most) = (cap.main_order(), cap.budgets_nanos(PART_BEFORE));
    let brim = Loss { nanos: std::array::from_fn(|i| if i == main { most[i] } else { INFINITE }), ..old(0) };
    let over = brim.plus(&old(1)).unwrap_or_else(|_| Loss::everything());
    assert!(!cap.admits(&brim) && cap.admitted_before(&old(1), &brim) && !cap.admitted_before(&old(1), &over));
    assert!(!cap.admitted_before(&pure(1e-9), &brim), "a charge of now is judged as of now");
}

#[test]
fn the_gaussian_of_a_share_is_within_that_share() {
    for (epsilon, delta) in [(0.1, 1e-9), (1.0, 1e-6), (8.0, 1e-7)] {
        let cap = Cap { epsilon, delta };
        for share in [0.01, 0.1, 1.0] {
            let most = cap.share(share).unwrap_or_else(|_| Loss::zero());
            let one = with_gaussian(share * cap.budget(GAUSSIAN) / 2.0 * (1.0 - 1e-3));
            assert!(one.at_most(&most), "({epsilon}, {delta}): {share}");
            let more = with_gaussian(share * cap.budget(GAUSSIAN) / 2.0 * 1.01);
            assert!(!more.at_most(&most), "({epsilon}, {delta}): {share}, and no more");
        }
    }
}
