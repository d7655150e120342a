//! What do the hints on functions, aggregates and literals say in Japanese?

/// Why a function or an operator is refused, and what to write instead.
pub(super) const FUNCTIONS: &[(&str, &str)] = &[
    ("see the list of functions", "関数の一覧を参照してください"),
    (
        "the most frequent value: SELECT x, COUNT(*) AS n ... GROUP BY x ORDER BY n DESC LIMIT 1",
        "最頻値は SELECT x, COUNT(*) AS n ... GROUP BY x ORDER BY n DESC LIMIT 1 で求めてください",
    ),
    ("the engine does not know it", "エンジンが対応していません"),
    (
        "the engine cannot run it; compare and compute values of one type",
        "エンジンが実行できません。同じ型の値どうしで比較や計算をしてください",
    ),
    ("it is missing", "エンジンにありません"),
    ("it is not settled for persons' rows", "個人の行に使えるかどうかが、まだ定められていません"),
    ("use comparisons, arithmetic, CASE and the listed functions", "比較、算術、CASE、一覧にある関数を使ってください"),
    ("use comparisons, +, -, *, /, %, || and LIKE", "比較、+、-、*、/、%、||、LIKE を使ってください"),
    ("use numbers, or DATE - DATE for days", "数値に使ってください。日数なら DATE - DATE で求められます"),
    (
        "negate numbers; subtract times the other way round",
        "符号を反転できるのは数値だけです。日時の差は、引く順序を逆にしてください",
    ),
    ("write it with fewer levels", "入れ子を浅くして書いてください"),
    ("its types do not fit together", "型が合いません"),
    ("bind a value to it", "値を割り当ててください"),
    (
        "key columns may be joined with =, grouped inside a person, and counted, nothing else",
        "キーの列でできるのは、= での結合、個人の中でのグループ化、数えることだけです",
    ),
    (
        "cast to numbers, texts, booleans, DATE or TIMESTAMP",
        "CAST の先は、数値、文字列、真偽値、DATE、TIMESTAMP のいずれかにしてください",
    ),
    (
        "ask of the whole table; noise protects the persons in it",
        "表全体について質問してください。表の中の個人は雑音が守ります",
    ),
    // The functions that are refused as a whole.
    (
        "lists and maps have no public length; join or group instead",
        "リストとマップには公開の長さがありません。代わりに結合かグループ化をしてください",
    ),
    (
        "it tells about the engine or its files, not about the data",
        "データではなく、エンジンやそのファイルについて述べるものです",
    ),
    ("it gives another value each time", "呼び出すたびに違う値になります"),
    ("its output grows with a value", "結果の長さが値とともに伸びます"),
    (
        "structs, unions and metadata are no values of the tables here",
        "構造体、共用体、メタデータは、ここの表の値ではありません",
    ),
    ("write CAST(x AS type)", "CAST(x AS type) と書いてください"),
    ("a hash or code of a person's text is no statistic", "個人の文字列のハッシュや符号は、統計ではありません"),
    (
        "times of day are no type here; use date_part('hour', ...)",
        "時刻だけの型はありません。date_part('hour', ...) を使ってください",
    ),
    ("admission replaces it by the data version's date", "受付の際に、データ版の日付に置き換えられます"),
    ("its time grows with the product of two texts", "実行時間が、二つの文字列の長さの積とともに伸びます"),
    (
        "it gives a list; use regexp_like, regexp_count or regexp_replace",
        "リストを返します。regexp_like、regexp_count、regexp_replace のいずれかを使ってください",
    ),
    ("time zones are not applied to stored times", "保存された日時にタイムゾーンは適用されません"),
    // Arguments.
    ("write its pattern, unit, format or length as a literal", "パターン、単位、書式、長さはリテラルで書いてください"),
    ("write the format as a literal", "書式をリテラルで書いてください"),
    ("this format is none, or asks for a time zone", "書式が正しくないか、タイムゾーンを求めています"),
    (
        "use YYYY, MM, DD, Mon, Dy, DDD, Q, IYYY, IW, ID, HH24, MI and SS in its format, or %Y, %m and so on",
        "書式には YYYY、MM、DD、Mon、Dy、DDD、IYYY、IW、HH24、MI、SS、または %Y、%m などを使ってください",
    ),
    ("pad to a literal length of at most {}", "埋める長さは {} 以下のリテラルで指定してください"),
    ("the length is not negative", "長さを負にはできません"),
    ("start at 1, or a few places before it", "開始位置は 1 か、その少し前にしてください"),
    ("give the pattern as a literal", "パターンをリテラルで指定してください"),
    ("give a pattern of at most 1024 bytes", "パターンは 1024 バイト以内にしてください"),
    ("give a regular expression as a literal", "正規表現をリテラルで指定してください"),
    ("this pattern is no regular expression", "このパターンは正規表現として読めません"),
    (
        "its text has at most 256 bytes, four for each character: write left(x, 64)",
        "文字列は 256 バイトまでです（1 文字は 4 バイトと数えます）。left(x, 64) と書いてください",
    ),
    (
        "its text has at most 1,024 bytes, four for each character: write left(x, 256)",
        "文字列は 1,024 バイトまでです（1 文字は 4 バイトと数えます）。left(x, 256) と書いてください",
    ),
    (
        "a text has at most {} bytes, by the lengths that are declared; shorten its parts with left(x, n), four bytes \
         a character",
        "文字列は、宣言された長さで数えて {} バイトまでです。left(x, n) で部分を短くしてください（1 文字は 4 \
         バイトと数えます）",
    ),
    ("name the part as a literal", "取り出す部分の名前をリテラルで指定してください"),
    (
        "take parts of a DATE, a TIMESTAMP or a difference of two",
        "DATE、TIMESTAMP、または二つの差から取り出してください",
    ),
    (
        "use year, quarter, month, week, day, doy, dow, hour, minute, second or epoch",
        "year、quarter、month、week、day、doy、dow、hour、minute、second、epoch のいずれかを使ってください",
    ),
    ("write a date as '2024-01-31'", "日付は '2024-01-31' の形で書いてください"),
    ("write an instant as '2024-01-31 12:00:00'", "日時は '2024-01-31 12:00:00' の形で書いてください"),
    (
        "write a value of that type, or TRY_CAST where NULL is meant",
        "その型の値を書くか、NULL にしたい場合は TRY_CAST を使ってください",
    ),
    // Aggregates.
    (
        "use COUNT, SUM, AVG, MIN, MAX, MEDIAN, VAR or CORR",
        "COUNT、SUM、AVG、MIN、MAX、MEDIAN、VAR、CORR のいずれかを使ってください",
    ),
    (
        "use COUNT, SUM, AVG, MIN, MAX, MEDIAN, PERCENTILE_CONT, VAR, STDDEV, COVAR, CORR or REGR_*",
        "COUNT、SUM、AVG、MIN、MAX、MEDIAN、PERCENTILE_CONT、VAR、STDDEV、COVAR、CORR、REGR_* \
         のいずれかを使ってください",
    ),
    (
        "use COUNT, SUM, AVG, MIN, MAX, MEDIAN, PERCENTILE_CONT, VAR, STDDEV, COVAR, CORR, REGR_*, BOOL_OR, BOOL_AND, \
         STRING_AGG or FIRST_VALUE(x ORDER BY y)",
        "COUNT、SUM、AVG、MIN、MAX、MEDIAN、PERCENTILE_CONT、VAR、STDDEV、COVAR、CORR、REGR_*、BOOL_OR、BOOL_AND、STRING_AGG、\
         FIRST_VALUE(x ORDER BY y) のいずれかを使ってください",
    ),
    (
        "this aggregate; use COUNT, SUM, AVG, MIN or MAX per person",
        "この集計は使えません。個人ごとの COUNT、SUM、AVG、MIN、MAX を使ってください",
    ),
    ("with an argument", "引数を付ければ使えます"),
    ("with one argument", "引数を一つにすれば使えます"),
    ("without ORDER BY or RESPECT NULLS", "ORDER BY と RESPECT NULLS を外せば使えます"),
    ("give a column", "列を指定してください"),
    ("it takes numbers", "数値にだけ使えます"),
    (
        "{} takes numbers, dates and timestamps; count texts by GROUP BY instead",
        "{} は数値、日付、日時に使えます。文字列は GROUP BY で数えてください",
    ),
    (
        "{}(DISTINCT x) has no bound; group by person_id and x first, or leave DISTINCT out",
        "{}(DISTINCT x) には公開の上下限がありません。先に person_id と x でグループ化するか、DISTINCT \
         を外してください",
    ),
    ("count distinct numbers, dates, texts or booleans", "DISTINCT で数えられるのは、数値、日付、文字列、真偽値です"),
    ("order it by the text that it joins", "つなぐ文字列そのもので並べてください"),
    ("with a text", "文字列を渡してください"),
    (
        "list days and numbers with generate_series, and ancestors with concept_ancestor",
        "日付や数の並びは generate_series、上位の概念は concept_ancestor で書いてください",
    ),
    ("count one of its columns, such as its key", "表の行ではなく、キーなどの列を一つ数えてください"),
    (
        "take it without ALL, or number the rows with ROW_NUMBER first",
        "ALL を付けないか、先に ROW_NUMBER で行に番号を付けてください",
    ),
    (
        "it meets nobody's value: compare with >= or <=, or write the value down",
        "誰の値とも一致しません。>= や <= で比べるか、値を直接書いてください",
    ),
    (
        "number the rows with RANK() OVER (ORDER BY ...) in a subquery, and take the first",
        "サブクエリで RANK() OVER (ORDER BY ...) により順位を付け、上位を取ってください",
    ),
    (
        "ask for members with EXISTS or IN, and for days with OVERLAPS",
        "要素は EXISTS か IN、期間は OVERLAPS で比べてください",
    ),
    (
        "name the columns of a subquery before PIVOT and the values after IN; or write SUM(...) FILTER (WHERE ...)",
        "PIVOT の前のサブクエリで列名を、IN の後に値を書いてください。SUM(...) FILTER (WHERE ...) とも書けます",
    ),
    (
        "list its values in FROM with VALUES or generate_series",
        "値の並びは FROM に VALUES か generate_series で書いてください",
    ),
    ("write it with joins, windows and aggregates", "結合、ウィンドウ、集計で書いてください"),
    ("keys can be counted, nothing else", "キーは数えることしかできません"),
    ("person_id and row ids can be counted, nothing else", "person_id と行の ID は数えることしかできません"),
    (
        "COUNT(*) FILTER (WHERE ...) says how many; compare it with COUNT(*)",
        "COUNT(*) FILTER (WHERE ...) で件数が分かります。COUNT(*) と比べてください",
    ),
    (
        "truncate to microsecond, millisecond, second, minute, hour, day, week, month, quarter or year",
        "切り捨ての単位は microsecond、millisecond、second、minute、hour、day、week、month、quarter、year のいずれかにしてください",
    ),
    (
        "STRING_AGG builds at most {} MiB of a person; shorten its texts with left(x, n)",
        "STRING_AGG が一人について作る文字列は {} MiB までです。left(x, n) で短くしてください",
    ),
    (
        "use yyyy, MM, MMM, dd, DDD, HH, mm and ss in its format, or %Y, %m, %d, %H",
        "書式には yyyy、MM、MMM、dd、DDD、HH、mm、ss か、%Y、%m、%d、%H を使ってください",
    ),
    ("give a literal pattern that is complete", "閉じたパターンをリテラルで指定してください"),
    (
        "give a literal pattern, and one character or none to escape with",
        "パターンをリテラルで、ESCAPE の文字を一つ（または空で）指定してください",
    ),
    ("fewer lists and shorter repeated expressions", "値の並びを減らし、繰り返される式を短くしてください"),
    ("roots and logarithms of shorter expressions", "平方根や対数を取る式を短くしてください"),
    (
        "fewer FIRST_VALUE, MEDIAN or DISTINCT side by side inside a person; take some in a subquery of their own",
        "一人の中で並べる FIRST_VALUE、MEDIAN、DISTINCT が多すぎます。一部を別のサブクエリに分けてください",
    ),
    ("at most {} STRING_AGG side by side inside a person", "一人の中で並べられる STRING_AGG は {} 個までです"),
    (
        "texts of at most 4,096 bytes beside persons' rows; shorten them with left(x, 1024)",
        "個人の行と並べるテキストは 4,096 バイトまでです。left(x, 1024) で短くしてください",
    ),
    (
        "a text in a question about persons has at most {} bytes; join a list instead",
        "個人についての質問に書くテキストは {} バイトまでです。代わりに一覧と結合してください",
    ),
    (
        "leave it out, and take the rows with WHERE x IS NOT NULL",
        "これを外し、WHERE x IS NOT NULL で行を絞ってください",
    ),
    ("separate by a literal of at most 64 bytes", "区切りは 64 バイト以内のリテラルにしてください"),
    (
        "give the share as a literal from 0 to 1 in steps of 0.0001",
        "割合は 0 から 1 まで、0.0001 刻みのリテラルで指定してください",
    ),
    ("bounds too wide for products; narrow them", "積を取るには上下限が広すぎます。狭めてください"),
    (
        "bounds too wide for a sum over the population; narrow them",
        "母集団全体の合計には上下限が広すぎます。狭めてください",
    ),
];
