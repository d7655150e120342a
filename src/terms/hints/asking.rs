//! What do the hints on how to ask, on settings and on signing in say in Japanese?

/// What is wrong with a question as a whole, with a setting, or with who asks.
pub(super) const ASKING: &[(&str, &str)] = &[
    (
        "a step fails on the public rows: look for a pattern that is no regular expression, a cast, a root or an overflow",
        "公開の行の上で失敗する処理があります。正規表現になっていないパターン、型変換、平方根、桁あふれがないか確かめてください",
    ),
    (
        "ask with SELECT; definitions, changes and copies do not exist",
        "SELECT で質問してください。定義、変更、複写はありません",
    ),
    ("ask one question at a time", "質問は一度に一つにしてください"),
    ("EXPLAIN takes a SELECT", "EXPLAIN には SELECT を続けてください"),
    ("plain EXPLAIN is the only form", "使えるのは、何も付けない EXPLAIN だけです"),
    ("names with __sekisho are taken", "__sekisho を含む名前は使えません"),
    ("{} names two columns; say which table's", "{} に当たる列が二つあります。どの表の列かを示してください"),
    (
        "two columns have one name; give one of them another name",
        "同じ名前の列が二つあります。一方に別の名前を付けてください",
    ),
    ("{} stands twice; give one of them another name", "{} が二度現れます。一方に別の名前を付けてください"),
    (
        "every selected column is aggregated or stands in GROUP BY",
        "選択する列は、すべて集計するか GROUP BY に書いてください",
    ),
    (
        "the names are known, but types, arguments or clauses do not fit together",
        "名前はすべて見つかりましたが、型、引数、句のいずれかが合いません",
    ),
    (
        "this prepared statement is closed or of another session; prepare it again",
        "このプリペアドステートメントは、閉じられたか別のセッションのものです。もう一度準備してください",
    ),
    ("send one well-formed Flight SQL command", "正しい形の Flight SQL の命令を一つ送ってください"),
    // Parameters.
    ("write parameters as ? or $1, $2 and so on", "パラメーターは ? または $1、$2 のように書いてください"),
    (
        "write parameters as ? or as $1, $2 and so on, not both",
        "パラメーターは ? か $1、$2 のどちらかの書き方にそろえてください",
    ),
    ("bind exactly {} parameters", "パラメーターをちょうど {} 個割り当ててください"),
    ("bind one row of parameters", "パラメーターを 1 行割り当ててください"),
    ("bind numbers, texts, dates or booleans", "割り当てる値は、数値、文字列、日付、真偽値のいずれかにしてください"),
    ("one row of parameters a question", "パラメーターは質問一つにつき 1 行です"),
    // Limits.
    ("at most {} bytes of SQL", "SQL は {} バイトまでです"),
    ("at most {} columns", "列は {} 個までです"),
    ("at most {} steps", "処理の段階は {} 個までです"),
    ("at most {} operators in a row", "続けて書ける演算子は {} 個までです"),
    ("at most {} levels of nesting", "入れ子は {} 段までです"),
    ("expressions of at most {} levels", "式の入れ子は {} 段までです"),
    ("WITH of at most {} steps written out", "WITH は、展開して {} 段階までです"),
    (
        "at most {} noisy columns in all groupings together; ask for fewer",
        "雑音を加える列は、すべてのグループ分けを合わせて {} 個までです。減らしてください",
    ),
    ("groups without a public list need more of delta", "公開の一覧がないグループには、より大きな delta が必要です"),
    ("bounds that the accountant cannot hold; narrow them", "上下限が広すぎて、損失を計算できません。狭めてください"),
    (
        "more than {} prepared statements in one session; close some",
        "一つのセッションのプリペアドステートメントが {} 個を超えます。いくつか閉じてください",
    ),
    ("a message is larger than 16 MiB", "メッセージが 16 MiB を超えています"),
    (
        "more than 30 seconds for what reads no rows of persons; join fewer public tables, or filter them first",
        "個人の行を読まない処理に 30 秒を超える時間がかかります。結合する公開の表を減らすか、先に絞り込んでください",
    ),
    (
        "what the longest deadline, 1024 seconds, has time for; ask about fewer tables, or choose that deadline with \
         SET sekisho.deadline = 1024",
        "最長の期限 1024 秒に収まりません。質問する表を減らすか、SET sekisho.deadline = 1024 \
         でその期限を選んでください",
    ),
    (
        "this question may have {} seconds at most: SET sekisho.deadline = {} or DEFAULT",
        "この質問の期限は長くても {} 秒です。SET sekisho.deadline = {} または DEFAULT としてください",
    ),
    // Settings.
    ("there is no setting sekisho.{}", "sekisho.{} という設定はありません"),
    (
        "only settings named sekisho.* can be set; the engine has none for you",
        "設定できるのは sekisho.* だけです。エンジンの設定は変えられません",
    ),
    ("SHOW ALL or SHOW sekisho.<setting>", "SHOW ALL または SHOW sekisho.<設定> と書いてください"),
    ("a setting takes one value", "設定の値は一つです"),
    ("a setting takes a literal", "設定の値はリテラルです"),
    ("{} is not plain text", "{} の値が ASCII の文字列ではありません"),
    ("sekisho.{} is {}", "sekisho.{} の値が正しくありません（{}）"),
    ("sekisho.{} is a permit such as 'P-2026-0001'", "sekisho.{} には 'P-2026-0001' のような許可を指定してください"),
    ("sekisho.{} is a number above zero", "sekisho.{} には 0 より大きい数を指定してください"),
    ("sekisho.{} is a half-width above zero", "sekisho.{} には 0 より大きい半幅を指定してください"),
    ("sekisho.{} is a whole number from 1 to 65536", "sekisho.{} には 1 から 65536 までの整数を指定してください"),
    ("sekisho.{} is raw or non_negative", "sekisho.{} には raw か non_negative を指定してください"),
    ("sekisho.{} is on or off", "sekisho.{} には on か off を指定してください"),
    (
        "sekisho.{} is one of 0.25, 1, 4, 16, 64, 256, 1024 seconds",
        "sekisho.{} には 0.25、1、4、16、64、256、1024 秒のいずれかを指定してください",
    ),
    (
        "sekisho.{} is none: no stricter rule pack is applied by this version",
        "sekisho.{} に指定できるのは none だけです。この版には、より厳しい規則集を適用する機能がありません",
    ),
    (
        "sekisho.accuracy works for COUNT and SUM; set sekisho.epsilon for this question",
        "sekisho.accuracy は COUNT と SUM に使えます。この質問では sekisho.epsilon を設定してください",
    ),
    // Certificates and tokens.
    (
        "no account has registered it; sign in and use sekisho certificate add",
        "登録したアカウントがありません。サインインして sekisho certificate add で登録してください",
    ),
    ("it was revoked", "失効しています"),
    ("its account may not sign in", "登録したアカウントはサインインできません"),
    ("it shows no second factor", "第二の認証要素が示されていません"),
    ("it names no account", "アカウントが示されていません"),
    ("the account that it names may not sign in here", "示されたアカウントは、ここではサインインできません"),
    ("it brings no role that the account may have", "アカウントが持てる役割が示されていません"),
    ("its issuer cannot be reached now", "発行者に今は接続できません"),
];
