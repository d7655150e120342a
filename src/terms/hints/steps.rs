//! What do the hints on joins, subqueries, windows and groups say in Japanese?

/// Why a step would mix persons, and what to write instead.
pub(super) const STEPS: &[(&str, &str)] = &[
    ("select aggregates such as COUNT(*)", "COUNT(*) などの集計を選択してください"),
    (
        "reference tables are renamed, filtered by comparisons and joined; compute after the join to persons",
        "参照表には名前の変更、比較による絞り込み、結合だけを使えます。計算は個人の表と結合した後で行ってください",
    ),
    ("write it with fewer nested steps", "入れ子を減らして書いてください"),
    (
        "LIMIT over persons' rows; aggregate first, then LIMIT",
        "個人の行には LIMIT を使えません。先に集計してから LIMIT を使ってください",
    ),
    (
        "LATERAL; aggregate per person in a subquery and join it on person_id",
        "LATERAL は使えません。サブクエリで個人ごとに集計し、person_id で結合してください",
    ),
    (
        "WITH RECURSIVE over persons' rows; use windows over person_id",
        "個人の行には WITH RECURSIVE を使えません。person_id ごとのウィンドウを使ってください",
    ),
    (
        "UNNEST over persons' rows; join a public table instead",
        "個人の行には UNNEST を使えません。代わりに公開の表を結合してください",
    ),
    (
        "this step over persons' rows; use WHERE, JOIN on person_id and GROUP BY",
        "この処理は個人の行には使えません。WHERE、person_id での JOIN、GROUP BY を使ってください",
    ),
    ("this table has no owner key", "この表には、行がどの個人のものかを示すキーがありません"),
    (
        "reference tables are never answered alone; join them to a table of persons",
        "参照表だけの質問には答えられません。個人の表と結合してください",
    ),
    (
        "a reference table is joined, or compared in a subquery, by the link that leads to its rows, such as care_site_id",
        "参照表は、care_site_id のように、その行を指す列で結合するか、サブクエリで比較してください",
    ),
    ("a public question needs no release", "公開の表だけの質問に、雑音は要りません"),
    (
        "fewer joins of persons, or fewer subqueries inside one another",
        "個人の表の結合か、入れ子のサブクエリを減らしてください",
    ),
    // Joins and sets.
    ("select person_id in the subquery", "サブクエリで person_id も選択してください"),
    ("ask each data set in a question of its own", "データセットごとに別々に質問してください"),
    ("tables of two data sets", "二つのデータセットの表を、一つの質問では使えません"),
    (
        "this join of persons; write EXISTS or NOT EXISTS",
        "個人の表どうしのこの結合は使えません。EXISTS か NOT EXISTS で書いてください",
    ),
    (
        "join tables of persons ON a.person_id = b.person_id",
        "個人の表は ON a.person_id = b.person_id で結合してください",
    ),
    (
        "this join could return public rows without a person; use INNER or LEFT JOIN",
        "この結合は、どの個人のものでもない公開の行を返すことがあります。INNER JOIN か LEFT JOIN を使ってください",
    ),
    ("join with =", "= で結合してください"),
    ("person_id joins tables of persons only", "person_id で結合できるのは、個人の表だけです"),
    (
        "reference tables join persons' rows, not released values",
        "参照表は、提供済みの値とではなく、個人の行と結合してください",
    ),
    (
        "INTERSECT and EXCEPT of persons need person_id among their columns",
        "個人の行の INTERSECT と EXCEPT では、列に person_id を含めてください",
    ),
    ("DISTINCT over persons' rows; select person_id too", "個人の行への DISTINCT では、person_id も選択してください"),
    ("DISTINCT ON; use row_number()", "DISTINCT ON の代わりに row_number() を使ってください"),
    (
        "UNION of persons' rows with other rows; release the persons' part first",
        "個人の行とほかの行の UNION はできません。先に個人の部分を集計してください",
    ),
    ("UNION of nothing", "UNION の中身がありません"),
    ("select person_id in each part of the UNION", "UNION の各部分で person_id を選択してください"),
    // Subqueries.
    ("aggregate in it", "その中で集計してください"),
    ("select one column", "列を一つだけ選択してください"),
    ("write a condition", "条件を書いてください"),
    ("write NOT EXISTS", "NOT EXISTS で書いてください"),
    ("join it instead", "代わりに結合してください"),
    ("join the table instead", "代わりに表を結合してください"),
    ("join it in the subquery's FROM", "サブクエリの FROM で結合してください"),
    ("put it into the WHERE of a subquery", "サブクエリの WHERE に書いてください"),
    ("use it in WHERE alone", "WHERE の中だけで使ってください"),
    ("use MIN or MAX", "MIN か MAX を使ってください"),
    ("use EXISTS, IN or an aggregate", "EXISTS、IN、または集計を使ってください"),
    (
        "use IN, EXISTS, or compare with MIN or MAX of the subquery",
        "IN か EXISTS を使うか、サブクエリの MIN か MAX と比べてください",
    ),
    ("compare person_id, or correlate by it", "person_id を比べるか、person_id で相関させてください"),
    ("correlate by person_id", "person_id で相関させてください"),
    (
        "correlate with = alone, or join and aggregate per person",
        "相関は = だけで書くか、結合して個人ごとに集計してください",
    ),
    (
        "a subquery over persons is correlated by person_id",
        "個人についてのサブクエリは、person_id で相関させてください",
    ),
    (
        "a subquery over persons compares person_id, or is correlated by it",
        "個人についてのサブクエリでは、person_id を比べるか、person_id で相関させてください",
    ),
    (
        "released values and persons' rows in one subquery",
        "一つのサブクエリの中で、提供済みの値と個人の行は混ぜられません",
    ),
    (
        "speak of the outer row in its WHERE alone, above no aggregate, outer join, LIMIT or UNION",
        "外側の行は WHERE だけで参照し、その WHERE を集計、外部結合、LIMIT、UNION の上に置かないでください",
    ),
    (
        "select one aggregate in it, without GROUP BY or HAVING, or ORDER BY ... LIMIT 1",
        "その中では、GROUP BY も HAVING もない集計を一つ選択するか、ORDER BY ... LIMIT 1 を使ってください",
    ),
    (
        "select aggregates without GROUP BY in it, or ORDER BY ... LIMIT 1, and join it ON TRUE",
        "その中では、GROUP BY のない集計か ORDER BY ... LIMIT 1 を選択し、ON TRUE で結合してください",
    ),
    // Groups.
    ("group by person_id itself", "person_id そのものでグループ化してください"),
    ("group by columns of persons", "個人の表の列でグループ化してください"),
    ("group by numbers, dates, texts or booleans", "数値、日付、文字列、真偽値でグループ化してください"),
    (
        "row ids are no group keys of a release; inside a subquery, WHERE it IS NOT NULL",
        "行の ID は、提供する集計のグループ化のキーにはなりません。サブクエリの中でなら、IS NOT NULL の WHERE \
         を添えて使えます",
    ),
    ("ask each level by itself", "それぞれの段階を別々に質問してください"),
    (
        "GROUPING SETS, ROLLUP and CUBE; ask each level by itself",
        "GROUPING SETS、ROLLUP、CUBE は使えません。それぞれの段階を別々に質問してください",
    ),
    (
        "GROUPING SETS with person_id; group by plain keys inside a person",
        "GROUPING SETS に person_id は使えません。個人の中では普通のキーでグループ化してください",
    ),
    (
        "GROUPING SETS inside a person; group by plain keys",
        "個人の中では GROUPING SETS を使えません。普通のキーでグループ化してください",
    ),
    ("at most {} grouping sets", "GROUPING SETS の組は {} 個までです"),
    // Windows.
    (
        "a window over persons' rows needs PARTITION BY person_id; over all persons, aggregates of whole partitions by keys that are never NULL, and NTILE",
        "個人の行へのウィンドウには PARTITION BY person_id が必要です。全員に対しては、NULL にならない列で区切った集計と NTILE が使えます",
    ),
    (
        "aggregate per person in a subquery grouped by person_id",
        "person_id でグループ化したサブクエリで、個人ごとに集計してください",
    ),
    (
        "call a window function or an aggregate OVER (PARTITION BY person_id)",
        "ウィンドウ関数か集計を OVER (PARTITION BY person_id) で呼び出してください",
    ),
    (
        "use row_number, rank, dense_rank, percent_rank, cume_dist, ntile, lag, lead, first_value, last_value, \
         nth_value, COUNT, SUM, AVG, MIN, MAX, VAR, STDDEV, COVAR, CORR or REGR_*",
        "row_number、rank、dense_rank、percent_rank、cume_dist、ntile、lag、lead、first_value、last_value、nth_value、\
         COUNT、SUM、AVG、MIN、MAX、VAR、STDDEV、COVAR、CORR、REGR_* のいずれかを使ってください",
    ),
    ("without DISTINCT or FILTER", "DISTINCT と FILTER を外せば使えます"),
    ("without DISTINCT or RESPECT NULLS in a window", "ウィンドウでは、DISTINCT と RESPECT NULLS を外せば使えます"),
    ("leave the frame out, or use ROWS", "フレームを省くか、ROWS を使ってください"),
    (
        "reach UNBOUNDED or a literal number of at most 65,536 rows",
        "範囲は UNBOUNDED か、65,536 行以内のリテラルにしてください",
    ),
    (
        "give literal intervals and order by one stored date, use ROWS, or join the table to itself",
        "間隔をリテラルで指定して保存された日付一つで並べるか、ROWS を使うか、表をそれ自身と結合してください",
    ),
    (
        "add ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING",
        "ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING を付けてください",
    ),
    ("give a value", "値を指定してください"),
    ("give a whole number from 1", "1 以上の整数を指定してください"),
    ("shift by a literal", "ずらす行数をリテラルで指定してください"),
    ("give the default as a literal, or use COALESCE", "既定値をリテラルで指定するか、COALESCE を使ってください"),
    (
        "a row has at most {} bytes where {} rows of a person are compared; shorten its texts with left(x, n), four bytes a \
         character, or join them afterwards",
        "個人の行を {1} 行まで比べるところでは、1 行は {0} バイトまでです。文字列を left(x, n) で短くするか（1 文字は 4 \
         バイトと数えます）、後で結合してください",
    ),
];
