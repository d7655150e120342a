//! How do noised sums of products become variances, correlations and slopes, and how wide are their intervals?
//!
//! All sums are taken around public centres, so that small differences of large numbers do not arise.

/// A function of the moments of one or two numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Statistic {
    /// VAR, over n − 1.
    VarianceSample,
    /// VAR_POP, over n.
    VariancePopulation,
    /// STDDEV, over n − 1.
    DeviationSample,
    /// STDDEV_POP, over n.
    DeviationPopulation,
    /// COVAR_SAMP, over n − 1.
    CovarianceSample,
    /// COVAR_POP, over n.
    CovariancePopulation,
    /// CORR.
    Correlation,
    /// REGR_SLOPE of y by x.
    Slope,
    /// REGR_INTERCEPT of y by x.
    Intercept,
    /// REGR_R2.
    Determination,
    /// REGR_AVGX.
    MeanX,
    /// REGR_AVGY.
    MeanY,
    /// REGR_SXX: the sum of squares around the mean.
    SquaresX,
    /// REGR_SYY.
    SquaresY,
    /// REGR_SXY.
    Products,
}

/// Noised sums over the rows of one group, in the columns' own units; those that a statistic does not need are zero.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Moments {
    pub(super) rows: f64,
    /// Σ(x − cx).
    pub(super) x: f64,
    /// Σ(y − cy).
    pub(super) y: f64,
    /// Σ(x − cx)².
    pub(super) xx: f64,
    /// Σ(y − cy)².
    pub(super) yy: f64,
    /// Σ(x − cx)(y − cy).
    pub(super) xy: f64,
}

/// The public points around which the sums are taken.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Centres {
    pub(super) x: f64,
    pub(super) y: f64,
}

/// What a statistic is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Needs {
    pub(super) x: bool,
    pub(super) y: bool,
    pub(super) xx: bool,
    pub(super) yy: bool,
    pub(super) xy: bool,
}

impl Statistic {
    /// The one that an aggregate computes; of the two arguments of a regression the first is y.
    pub(super) fn named(aggregate: &str) -> Option<Self> {
        Some(match aggregate {
            "var" => Self::VarianceSample,
            "var_pop" => Self::VariancePopulation,
            "stddev" => Self::DeviationSample,
            "stddev_pop" => Self::DeviationPopulation,
            "covar_samp" => Self::CovarianceSample,
            "covar_pop" => Self::CovariancePopulation,
            "corr" => Self::Correlation,
            "regr_slope" => Self::Slope,
            "regr_intercept" => Self::Intercept,
            "regr_r2" => Self::Determination,
            "regr_avgx" => Self::MeanX,
            "regr_avgy" => Self::MeanY,
            "regr_sxx" => Self::SquaresX,
            "regr_syy" => Self::SquaresY,
            "regr_sxy" => Self::Products,
            _ => return None,
        })
    }

    pub(super) fn needs(self) -> Needs {
        let none = Needs::default();
        match self {
            Self::VarianceSample | Self::VariancePopulation | Self::DeviationSample | Self::DeviationPopulation => {
                Needs { x: true, xx: true, ..none }
            }
            Self::CovarianceSample | Self::CovariancePopulation | Self::Products => {
                Needs { x: true, y: true, xy: true, ..none }
            }
            Self::Correlation | Self::Determination => Needs { x: true, y: true, xx: true, yy: true, xy: true },
            Self::Slope | Self::Intercept => Needs { x: true, y: true, xx: true, yy: false, xy: true },
            Self::MeanX => Needs { x: true, ..none },
            Self::MeanY => Needs { y: true, ..none },
            Self::SquaresX => Needs { x: true, xx: true, ..none },
            Self::SquaresY => Needs { y: true, yy: true, ..none },
        }
    }

    /// The statistic of these sums; NULL where the noised rows are too few or a spread is not above zero.
    pub(super) fn of(self, m: &Moments, centres: Centres) -> Option<f64> {
        let least = match self {
            Self::VarianceSample | Self::DeviationSample | Self::CovarianceSample => 2.0,
            _ => 1.0,
        };
        if m.rows < least {
            return None;
        }
        let n = m.rows;
        let (mx, my) = (m.x / n, m.y / n);
        let (vx, vy) = ((m.xx / n - mx * mx).max(0.0), (m.yy / n - my * my).max(0.0));
        let vxy = m.xy / n - mx * my;
        let sample = n / (n - 1.0);
        let positive = |v: f64| (v > 0.0).then_some(v);
        let value = match self {
            Self::VarianceSample => vx * sample,
            Self::VariancePopulation => vx,
            Self::DeviationSample => (vx * sample).sqrt(),
            Self::DeviationPopulation => vx.sqrt(),
            Self::CovarianceSample => vxy * sample,
            Self::CovariancePopulation => vxy,
            Self::Correlation => (vxy / (positive(vx)?.sqrt() * positive(vy)?.sqrt())).clamp(-1.0, 1.0),
            Self::Slope => vxy / positive(vx)?,
            Self::Intercept => (my + centres.y) - vxy / positive(vx)? * (mx + centres.x),
            Self::Determination => (vxy * vxy / (positive(vx)? * positive(vy)?)).clamp(0.0, 1.0),
            Self::MeanX => mx + centres.x,
            Self::MeanY => my + centres.y,
            Self::SquaresX => vx * n,
            Self::SquaresY => vy * n,
            Self::Products => vxy * n,
        };
        value.is_finite().then_some(value)
    }

    /// The 95 % half-width: each noised sum is moved by its own half-width both ways, and the largest changes of the
    /// statistic are added up. `None` where some such move leaves no statistic.
    pub(super) fn half_width(self, m: &Moments, widths: &Moments, centres: Centres) -> Option<f64> {
        let here = self.of(m, centres)?;
        let moves: [fn(&mut Moments) -> &mut f64; 6] =
            [|m| &mut m.rows, |m| &mut m.x, |m| &mut m.y, |m| &mut m.xx, |m| &mut m.yy, |m| &mut m.xy];
        let mut all = 0.0;
        for part in moves {
            let width = *part(&mut widths.clone());
            let mut farthest = 0.0_f64;
            for width in [-width, width] {
                let mut moved = *m;
                *part(&mut moved) += width;
                // Fewer rows than none cannot be: the interval is then as wide as at one row.
                moved.rows = moved.rows.max(2.0);
                farthest = farthest.max((self.of(&moved, centres)? - here).abs());
            }
            all += farthest;
        }
        Some(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sums around (2, 10) of (1, 11), (2, 12), (4, 16).
    fn moments() -> (Moments, Centres) {
        (Moments { rows: 3.0, x: 1.0, y: 9.0, xx: 5.0, yy: 41.0, xy: 11.0 }, Centres { x: 2.0, y: 10.0 })
    }

    fn close(a: Option<f64>, b: f64) {
        assert!(a.is_some_and(|a| (a - b).abs() < 1e-9), "{a:?} is not {b}");
    }

    #[test]
    fn each_statistic_is_what_a_textbook_has() {
        let (m, c) = moments();
        close(Statistic::VarianceSample.of(&m, c), 7.0 / 3.0);
        close(Statistic::VariancePopulation.of(&m, c), 14.0 / 9.0);
        close(Statistic::CovarianceSample.of(&m, c), 4.0);
        close(Statistic::Slope.of(&m, c), 4.0 / (7.0 / 3.0));
        close(Statistic::Intercept.of(&m, c), 13.0 - 12.0 / 7.0 * 7.0 / 3.0);
        close(Statistic::Correlation.of(&m, c), 4.0 / (7.0_f64 / 3.0 * 7.0).sqrt());
        close(Statistic::MeanX.of(&m, c), 7.0 / 3.0);
        close(Statistic::MeanY.of(&m, c), 13.0);
        close(Statistic::SquaresX.of(&m, c), 14.0 / 3.0);
        close(Statistic::Products.of(&m, c), 8.0);
        close(Statistic::Determination.of(&m, c), 16.0 / (7.0 / 3.0 * 7.0));
    }

    #[test]
    fn too_few_noised_rows_or_no_spread_give_no_statistic() {
        let (m, c) = moments();
        assert_eq!(Statistic::VarianceSample.of(&Moments { rows: 1.0, ..m }, c), None);
        assert_eq!(Statistic::VariancePopulation.of(&Moments { rows: -4.0, ..m }, c), None);
        assert_eq!(Statistic::Correlation.of(&Moments { xx: 0.0, ..m }, c), None);
    }

    #[test]
    fn without_noise_the_interval_has_no_width_and_it_grows_with_the_noise() {
        let (m, c) = moments();
        close(Statistic::Slope.half_width(&m, &Moments::default(), c), 0.0);
        let narrow = Moments { xy: 0.1, x: 0.05, ..Moments::default() };
        let wide = Moments { xy: 0.2, x: 0.1, ..Moments::default() };
        let (narrow, wide) = (Statistic::Slope.half_width(&m, &narrow, c), Statistic::Slope.half_width(&m, &wide, c));
        assert!(narrow.unwrap() > 0.0 && wide.unwrap() > narrow.unwrap());
    }
}
