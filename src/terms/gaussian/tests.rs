//! Is no figure of a Gaussian below its true value, and is none far above it?
//!
//! The reference values were computed with 60 digits from the formulas that each function cites.

use super::*;

#[test]
fn delta_is_the_reference_and_never_below_it() {
    let known = [
        (0.003, 0.01, 3.379_186_993_590_463e-7),
        (0.1, 0.1, 0.008_751_768_145_809_594),
        (0.2367, 1.0, 9.996_190_577_823_362e-7),
        (0.23, 1.0, 5.451_413_610_812_135e-7),
        (1.0, 1.0, 0.126_936_737_506_643_95),
        (1.5, 8.0, 5.336_763_400_246_518e-7),
        (1.26, 8.0, 9.266_182_753_399_675e-10),
        (5.0, 8.0, 0.754_360_714_429_914_6),
        (8.0, 40.0, 0.132_089_945_622_995_87),
        (3.0, 0.0, 0.866_385_597_462_283_9),
        (12.0, 100.0, 0.007_994_672_298_606_886),
    ];
    for (mu, epsilon, expected) in known {
        let here = delta(mu, epsilon);
        assert!(here >= expected && here < expected * (1.0 + 1e-7), "({mu}, {epsilon}): {here} for {expected}");
    }
    // Where e^ε or the far tail leaves the numbers: above, and not by much.
    for (mu, epsilon, expected) in [(30.0, 700.0, 3.064e-17), (40.0, 1000.0, 2.536e-7)] {
        let here = delta(mu, epsilon);
        assert!(here >= expected && here < expected * 10.0, "({mu}, {epsilon}): {here} for {expected}");
    }
}

#[test]
fn a_budget_is_the_reference_and_never_above_it() {
    let known = [
        (0.01, 1e-12, 2.982_950_676_391_67e-6),
        (0.01, 1e-6, 1.065_523_823_097_85e-5),
        (0.1, 1e-9, 0.000_396_663_921_553_207),
        (0.1, 1e-2, 0.010_983_412_121_237_3),
        (1.0, 1e-12, 0.023_253_093_737_121),
        (1.0, 1e-6, 0.056_028_963_825_260_7),
        (8.0, 1e-9, 1.593_271_187_294_97),
        (8.0, 1e-6, 2.345_630_447_140_7),
        (64.0, 1e-12, 40.172_139_059_003_1),
        (64.0, 1e-2, 86.506_655_180_852_9),
    ];
    for (epsilon, most, expected) in known {
        let here = budget(epsilon, most);
        assert!(here <= expected && here > expected * (1.0 - 1e-6), "({epsilon}, {most}): {here} for {expected}");
    }
    for (epsilon, most, expected) in [(700.0, 1e-6, 1_088.250_022), (1000.0, 1e-12, 1_463.598_994)] {
        let here = budget(epsilon, most);
        assert!(here <= expected && here > expected * 0.95, "({epsilon}, {most}): {here} for {expected}");
    }
    assert_eq!((budget(1.0, 0.0).to_bits(), budget(1e-12, 1e-6).to_bits()), (0, 0));
}

#[test]
fn budget_and_epsilon_are_each_others_inverse() {
    for epsilon_wanted in [0.05, 0.5, 1.0, 8.0, 64.0] {
        for most in [1e-12, 1e-9, 1e-6, 1e-3] {
            let back = epsilon(budget(epsilon_wanted, most), most);
            assert!((back / epsilon_wanted - 1.0).abs() < 1e-6, "({epsilon_wanted}, {most}): {back}");
        }
    }
    assert!(epsilon(1.0, 0.0).is_infinite());
    assert!(epsilon(0.0, 1e-6).abs() < 1e-300);
}

#[test]
fn pure_epsilon_is_the_reference_and_never_below_it() {
    let known = [
        (1e-3, 1.570_796_270_612_27e-6),
        (0.1, 0.015_702_348_541_448_8),
        (1.0, 1.517_911_190_741_96),
        (5.0, 24.469_627_644_120_7),
        (20.0, 138.260_410_645_587),
        (100.0, 771.559_066_077_293),
        (500.0, 3_965.044_529_446_65),
    ];
    for (epsilon, expected) in known {
        let here = of_pure(epsilon);
        assert!(here >= expected && here < expected * (1.0 + 1e-7), "{epsilon}: {here} for {expected}");
    }
    for (epsilon, expected) in [(1e-6, 1.570_796_326_794_84e-12), (1000.0, 7_962.259_782_730_93)] {
        let here = of_pure(epsilon);
        assert!(here >= expected && here < expected * 1.01, "{epsilon}: {here} for {expected}");
    }
}

/// Φ(Φ⁻¹(1 − α) − μ): the least chance of a miss at the chance α of a false alarm.
fn curve(mu: f64, alpha: f64) -> f64 {
    let (mut low, mut high) = (-40.0, 40.0);
    for _ in 0..100 {
        let middle = f64::midpoint(low, high);
        if tail(middle) > alpha { low = middle } else { high = middle }
    }
    tail(mu - low)
}

#[test]
fn along_its_whole_curve_a_pure_mechanism_is_no_easier_to_see_through_than_its_gaussian() {
    for epsilon in [0.01, 0.1, 0.7, 1.0, 3.0, 10.0] {
        let mu = of_pure(epsilon).sqrt();
        let of_response = |alpha: f64| {
            let (up, down) = (1.0 - epsilon.exp() * alpha, (-epsilon).exp() * (1.0 - alpha));
            up.max(down).max(0.0)
        };
        for step in 1..4000 {
            let alpha = f64::from(step) / 4000.0;
            assert!(curve(mu, alpha) <= of_response(alpha) + 1e-12, "{epsilon} at {alpha}");
        }
        // Where the chords meet the two touch: a hair less would not do.
        let corner = 1.0 / (1.0 + epsilon.exp());
        assert!(curve(mu * (1.0 - 1e-6), corner) > corner, "{epsilon}: needlessly large");
    }
}

/// Φ⁻¹(p) − Φ⁻¹(q) of the two-point pair whose losses are t and t − η.
fn of_pair(eta: f64, t: f64) -> (f64, f64, f64) {
    let p = (t - eta).exp_m1() / (-eta).exp_m1();
    let q = p * (-t).exp();
    let point = |of: f64| {
        let (mut low, mut high) = (-40.0, 40.0);
        for _ in 0..100 {
            let middle = f64::midpoint(low, high);
            if tail(middle) > of { low = middle } else { high = middle }
        }
        -low
    };
    (point(p) - point(q), p, q)
}

#[test]
fn of_all_ways_to_lie_within_a_range_the_middle_is_the_worst() {
    for eta in [0.01, 0.1, 1.0, 3.0, 8.0, 20.0] {
        let most = of_range(eta).sqrt();
        let mut worst = 0.0_f64;
        for step in 1..2000 {
            let t = eta * f64::from(step) / 2000.0;
            let (mu, p, q) = of_pair(eta, t);
            assert!(mu <= most + 1e-9, "{eta} at {t}: {mu} above {most}");
            // The pair's own curve is two chords that meet where a false alarm has chance q and a miss 1 − p.
            for alpha in [q / 2.0, q, f64::midpoint(q, 1.0)] {
                let chord = if alpha <= q { 1.0 - alpha / q * p } else { (1.0 - p) * (1.0 - alpha) / (1.0 - q) };
                assert!(curve(most, alpha) <= chord + 1e-9, "{eta} at {t}, {alpha}");
            }
            worst = worst.max(mu);
        }
        assert!(worst > most * (1.0 - 1e-5), "{eta}: {worst}, needlessly far below {most}");
    }
    let small = of_range(0.01).sqrt() / 0.01;
    assert!((small - 0.6267).abs() < 1e-4, "{small}");
}

#[test]
fn the_slope_of_a_quantile_over_its_logit_falls_off_from_the_middle_on() {
    let phi = |z: f64| (-z * z / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt();
    let (mut slope, mut signs) = (f64::INFINITY, vec![]);
    for step in 0..3_000 {
        let z = f64::from(step) * 0.01;
        let next = tail(z) * tail(-z) / phi(z);
        assert!(next <= slope, "at {z}");
        slope = next;
        signs.push(2.0 * phi(z).powi(2) > tail(z) * tail(-z));
    }
    signs.dedup();
    assert_eq!(signs, [true, false], "the derivative of the difference changes its sign once");
}
