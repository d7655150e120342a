//! What is that called in Japanese which stands where the name of a function would?

/// Forms of SQL that have no name of their own.
pub(super) const NAMES: &[(&str, &str)] = &[
    ("this expression", "この式"),
    ("this aggregate", "この集計"),
    ("this join", "この結合"),
    ("this window", "このウィンドウ"),
    ("this frame", "このフレーム"),
    ("this percentile", "この百分位数"),
    ("this subquery", "このサブクエリ"),
    ("this correlated subquery", "この相関サブクエリ"),
    ("this WHERE", "この WHERE"),
    ("this form of SQL", "この形の SQL"),
    ("this combination of types", "この型の組み合わせ"),
    ("this combination of steps", "この処理の組み合わせ"),
    ("- of this type", "この型への単項の -"),
    ("{} on these types", "これらの型への {}"),
    ("CAST to {}", "{} への CAST"),
    ("a literal that is no {}", "{} として読めないリテラル"),
    ("a parameter without a value", "値のないパラメーター"),
    ("a window function", "ウィンドウ関数"),
    ("{} in a window", "ウィンドウでの {}"),
    ("RANGE with an offset", "オフセット付きの RANGE"),
    ("{} inside a person", "個人の中での {}"),
    ("ANY and ALL", "ANY と ALL"),
    ("NOT IN with a correlated subquery", "相関サブクエリへの NOT IN"),
    ("a subquery", "サブクエリ"),
    ("a subquery before IN", "IN の前のサブクエリ"),
    ("a subquery in an expression", "式の中のサブクエリ"),
    ("a subquery in this ON", "この ON の中のサブクエリ"),
    ("= with a noised time or fraction", "ノイズを加えた時刻や小数との = による比較"),
    ("a subquery inside a correlated condition", "相関条件の中のサブクエリ"),
    ("a subquery that yields persons' rows", "個人の行を返すサブクエリ"),
    ("a subquery that yields rows of the records", "記録の行を返すサブクエリ"),
    ("an outer column in this SELECT list", "この SELECT の列に現れる外側の列"),
];

/// What a permit would have to grant.
pub(super) const GRANTED: &[(&str, &str)] =
    &[("{} and {} more", "{} ほか {} 件"), ("{} beside {}", "{1} と並べて使う {0}")];
