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
fn whichever_order_stays_within_its_budget_their_deltas_add_up_to_half_of_the_cap() {
    for epsilon in [0.01, 0.1, 1.0, 8.0, 100.0] {
        for delta in [1e-12, 1e-9, 1e-6, 1e-2] {
            let cap = Cap { epsilon, delta };
            // The conversion the other way round: the δ at which the budget of an order alone would be (ε, δ)-DP.
            let finite = ORDERS.into_iter().enumerate().filter(|(_, order)| order.is_finite());
            let open = finite.filter(|(index, _)| cap.budget(*index) > 0.0);
            let used: f64 = open
                .map(|(i, a)| (((a - 1.0) / a).ln() * (a - 1.0) - a.ln() + (a - 1.0) * (cap.budget(i) - epsilon)).exp())
                .sum();
            assert!(used <= delta / 2.0 * (1.0 + 1e-6), "({epsilon}, {delta}): {used}");
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
    assert!(delta <= cap.delta / 2.0, "{delta}");
    // With the whole of δ/2 at every order it would pass: the check can fail.
    let naive: f64 = first
        .iter()
        .map(|(l, p)| {
            let at = |o: &(usize, f64)| {
                let more =
                    conversion(o.1, cap.delta_part(o.0.abs_diff(cap.main_order()))) - conversion(o.1, cap.delta / 2.0);
                failing(*o, *l, spent(o.1)) * ((o.1 - 1.0) * more).exp()
            };
            p / all * orders.iter().map(at).fold(0.0, f64::max)
        })
        .sum();
    assert!(naive > cap.delta / 2.0, "{naive}");
}

#[test]
fn deltas_beyond_half_of_the_cap_are_refused_whatever_epsilon_is_left() {
    let loss = |delta| Loss::zero().with_delta(delta).unwrap_or_else(|_| Loss::zero());
    assert!(cap().admits(&loss(5e-7)));
    assert!(!cap().admits(&loss(5.1e-7)));
}

#[test]
fn what_remains_is_what_still_fits() {
    let left = cap().remaining(&pure(0.25));
    assert!((left - 0.75).abs() < 1e-6, "{left}");
    assert!(cap().remaining(&pure(5.0)).abs() < f64::EPSILON);
}
