//! Texts of every kind, and what goes of them.

use crate::scan::{Depth, Scanner};
use expect_test::{Expect, expect};

#[track_caller]
pub(super) fn check(texts: &[&str], expected: &Expect) {
    let scanner = Scanner::new();
    let mut table = String::new();
    for text in texts {
        let found: Vec<_> = scanner
            .scan(text, Depth::All(0))
            .into_iter()
            .map(|hit| &text[hit.range])
            .collect();
        table.push_str(&format!("{text}  ->  {found:?}\n"));
    }
    expected.assert_eq(&table);
}

#[test]
fn assignments_and_arguments_of_code() {
    check(
        &[
            "password = 'banan57'",
            "conn = connect(host='db', user='etl', password='dragon.modra.395')",
            "PASSWORD = os.environ['DB_PASSWORD']",
            "password = get_password()",
            "api_key: str = \"755904de-8259-4082-8fa9-4f0acc7935f3\"",
            "pwd <- \"Sunshine54\"",
            "os.environ[\"API_KEY\"] = \"3f853804b0514f1a119460e19e139220\"",
            "session.auth = ('etl', 'u-a3n@KuidmX54')",
            "HTTPBasicAuth(user, 'velryba9')",
            "x = {\"client_secret\": \"7Qm2gbhP8NCjap7HzHPo\", \"token_url\": \"https://x/y\"}",
            "{\\\"password\\\": \\\"krtek77\\\"}",
            "if password == 'abc': pass",
            "getenv('DB_PASSWORD', 'banan3214')",
            "password => 'thisismypassword',",
        ],
        &expect![[r#"
            password = 'banan57'  ->  ["banan57"]
            conn = connect(host='db', user='etl', password='dragon.modra.395')  ->  ["dragon.modra.395"]
            PASSWORD = os.environ['DB_PASSWORD']  ->  []
            password = get_password()  ->  []
            api_key: str = "755904de-8259-4082-8fa9-4f0acc7935f3"  ->  ["755904de-8259-4082-8fa9-4f0acc7935f3"]
            pwd <- "Sunshine54"  ->  ["Sunshine54"]
            os.environ["API_KEY"] = "3f853804b0514f1a119460e19e139220"  ->  ["3f853804b0514f1a119460e19e139220"]
            session.auth = ('etl', 'u-a3n@KuidmX54')  ->  ["u-a3n@KuidmX54"]
            HTTPBasicAuth(user, 'velryba9')  ->  ["velryba9"]
            x = {"client_secret": "7Qm2gbhP8NCjap7HzHPo", "token_url": "https://x/y"}  ->  ["7Qm2gbhP8NCjap7HzHPo"]
            {\"password\": \"krtek77\"}  ->  ["krtek77"]
            if password == 'abc': pass  ->  []
            getenv('DB_PASSWORD', 'banan3214')  ->  ["banan3214"]
            password => 'thisismypassword',  ->  ["thisismypassword"]
        "#]],
    );
}

#[test]
fn clauses_of_sql() {
    check(
        &[
            "CREATE USER r PASSWORD = 'Summer767'",
            "CREATE USER r IDENTIFIED BY 'Summer767';",
            "ALTER USER r WITH PASSWORD 'leto'",
            "SELECT \"password\", \"token\" FROM \"users\"",
            "CREATE TABLE u (password VARCHAR(255), api_key VARCHAR)",
            "CREDENTIALS=(AWS_KEY_ID='x' AWS_SECRET_KEY='7guaxBuMsdxF5AkvvySu6MNovk9lTc41nrsorCa0')",
            "SELECT dblink('host=db user=etl password=krtek.krtek.370 dbname=dwh')",
            "WHERE \"primary_key\" = '0a1b2c3d4e5f60718293a4b5c6d7e8f9'",
        ],
        &expect![[r#"
            CREATE USER r PASSWORD = 'Summer767'  ->  ["Summer767"]
            CREATE USER r IDENTIFIED BY 'Summer767';  ->  ["Summer767"]
            ALTER USER r WITH PASSWORD 'leto'  ->  ["leto"]
            SELECT "password", "token" FROM "users"  ->  []
            CREATE TABLE u (password VARCHAR(255), api_key VARCHAR)  ->  []
            CREDENTIALS=(AWS_KEY_ID='x' AWS_SECRET_KEY='7guaxBuMsdxF5AkvvySu6MNovk9lTc41nrsorCa0')  ->  ["7guaxBuMsdxF5AkvvySu6MNovk9lTc41nrsorCa0"]
            SELECT dblink('host=db user=etl password=krtek.krtek.370 dbname=dwh')  ->  ["krtek.krtek.370"]
            WHERE "primary_key" = '0a1b2c3d4e5f60718293a4b5c6d7e8f9'  ->  []
        "#]],
    );
}

#[test]
fn connection_strings_headers_and_flags() {
    check(
        &[
            "Server=sql;Database=dwh;Uid=etl;Pwd=banan;",
            "jdbc:mysql://db/shop?user=ro&password=leto&ssl=true",
            "X-Api-Key: 3f853804b0514f1a119460e19e139220",
            "Authorization: Token 22cb987851bc5659b29114c62e60c79abd0d2c08",
            "mysql -u root --password leto2024",
            "tool --token $TOKEN --password {{ pass }}",
            "<password>leto2024</password>",
            "DB_PASSWORD=sunshine12\\nDB_HOST=x",
            "SERVER=db OPTIONS=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa PASSWORD=$leto2024",
        ],
        &expect![[r#"
            Server=sql;Database=dwh;Uid=etl;Pwd=banan;  ->  ["banan"]
            jdbc:mysql://db/shop?user=ro&password=leto&ssl=true  ->  ["leto"]
            X-Api-Key: 3f853804b0514f1a119460e19e139220  ->  ["3f853804b0514f1a119460e19e139220"]
            Authorization: Token 22cb987851bc5659b29114c62e60c79abd0d2c08  ->  ["22cb987851bc5659b29114c62e60c79abd0d2c08"]
            mysql -u root --password leto2024  ->  ["leto2024"]
            tool --token $TOKEN --password {{ pass }}  ->  []
            <password>leto2024</password>  ->  ["leto2024"]
            DB_PASSWORD=sunshine12\nDB_HOST=x  ->  ["sunshine12"]
            SERVER=db OPTIONS=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa PASSWORD=$leto2024  ->  ["$leto2024"]
        "#]],
    );
}

#[test]
fn sentences() {
    check(
        &[
            "The password is Banan57.",
            "Heslo je krtek77, user etl",
            "heslo: papoušek5654",
            "The default Password is 'blooberry'",
            "DB credentials - user: jana, pass: Admin49",
            "acme key 1234567890abcdef1234567890abcdef",
            "acmeSECRET-1234567890abcdef1234567890abcdef",
            "The token is required. Password: at least 8 characters.",
            "Set `password` to {{ api_token }} first.",
            "Use your access token to sign in; the primary key is id.",
        ],
        &expect![[r#"
            The password is Banan57.  ->  ["Banan57"]
            Heslo je krtek77, user etl  ->  ["krtek77"]
            heslo: papoušek5654  ->  ["papoušek5654"]
            The default Password is 'blooberry'  ->  ["blooberry"]
            DB credentials - user: jana, pass: Admin49  ->  ["Admin49"]
            acme key 1234567890abcdef1234567890abcdef  ->  ["1234567890abcdef1234567890abcdef"]
            acmeSECRET-1234567890abcdef1234567890abcdef  ->  ["1234567890abcdef1234567890abcdef"]
            The token is required. Password: at least 8 characters.  ->  []
            Set `password` to {{ api_token }} first.  ->  []
            Use your access token to sign in; the primary key is id.  ->  []
        "#]],
    );
}

#[test]
fn keys_with_a_hash_inside_a_text() {
    check(
        &[
            "{\"#password\": \"leto\", \"#x\": \"KBC::ProjectSecure::eJwBQAG//mRlZjUwMjAwZmY0\"}",
            "params[\"#password\"]",
            "{\\\"#password\\\": \\\"leto\\\"}",
            "color: \"#ffffff\"",
        ],
        &expect![[r##"
            {"#password": "leto", "#x": "KBC::ProjectSecure::eJwBQAG//mRlZjUwMjAwZmY0"}  ->  ["leto"]
            params["#password"]  ->  []
            {\"#password\": \"leto\"}  ->  ["leto"]
            color: "#ffffff"  ->  []
        "##]],
    );
}

#[test]
fn names_with_words_of_somebodys_own() {
    check(
        &[
            "password_acme = 'Xk7!vR2m'",
            "API_KEY_ACME=7c9e6679f4254a0c8b1de07a55c3f912",
            "access_token_fb: 7c9e6679f4254a0c8b1de07a55c3f912",
            "password_policy = 'Xk7!vR2m'",
            "token_type_ids = '7c9e6679f4254a0c8b1de07a55c3f912'",
            "password_hash = '7c9e6679f4254a0c8b1de07a55c3f912'",
            "PassCollisions = 'AxisAngle2Rot'",
            "uid=\"u\", pw=\"Xk7vR2mp\"",
        ],
        &expect![[r#"
            password_acme = 'Xk7!vR2m'  ->  ["Xk7!vR2m"]
            API_KEY_ACME=7c9e6679f4254a0c8b1de07a55c3f912  ->  ["7c9e6679f4254a0c8b1de07a55c3f912"]
            access_token_fb: 7c9e6679f4254a0c8b1de07a55c3f912  ->  ["7c9e6679f4254a0c8b1de07a55c3f912"]
            password_policy = 'Xk7!vR2m'  ->  []
            token_type_ids = '7c9e6679f4254a0c8b1de07a55c3f912'  ->  []
            password_hash = '7c9e6679f4254a0c8b1de07a55c3f912'  ->  []
            PassCollisions = 'AxisAngle2Rot'  ->  []
            uid="u", pw="Xk7vR2mp"  ->  ["Xk7vR2mp"]
        "#]],
    );
}

#[test]
fn values_in_lists_calls_and_declarations() {
    check(
        &[
            "passwords = ['Xk7vR2mp', \"Yk8wS3nq\"]",
            "PASSWORDS = {'jane': 'Xk7vR2mp', 'id': 'Yk8wS3nq'}",
            "user, password = 'admin', 'Xk7vR2mp'",
            "PASSWORD, USER = 'Xk7vR2mp', 'admin'",
            "f(user, password='Xk7vR2mp')",
            "password = SecretStr('Xk7vR2mp')",
            "password = \"\"\"Xk7vR2mp\"\"\"",
            "password = password.encode('utf-8')",
            "password = os.environ.get('DB_PASSWORD') or 'Xk7vR2mp3'",
            "add_argument('--password', type=str, default='Xk7vR2mp')",
            "keyring.set_password('svc', 'etl', 'Xk7vR2mp')",
            "option('password', 'Xk7vR2mp')",
            "const PASSWORD: &str = \"Xk7vR2mp\";",
            "password: str | None = 'Xk7vR2mp'",
            "pub const PASSWORD_MAX: u32 = 257;",
            "pymysql.connect('h', 'root', 'Xk7vR2mp', 'db')",
            "jwt.encode(payload, 'Xk7!vR2mpQz', algorithm='HS256')",
            "parse_authenticate(response, 'www-authenticate')",
            "ssh.connect(h, 22, 'etl', 'Xk7vR2mp')",
            "psycopg2.connect('h', 'etl', 'warehouse')",
            "SELECT * FROM mysql('h:3306', 'd', 't', 'u', 'Xk7vR2mp')",
            "INSERT INTO users (login, password) VALUES ('admin', 'kopretina'), ('etl', 'Xk7vR2mp')",
            "insert into t (\"api_token\", id)\nvalues\n('uxovWgir03ImcBPc5G3B', 1)",
            "INSERT INTO users (login, password) SELECT 'admin', 'kopretina'",
            "SELECT CASE WHEN a = 1 THEN 'uxovWgir03ImcBPc5G3B' END AS \"acme_token\"",
            "pass 'x7' on, pass --all, pass -march=x86-64",
        ],
        &expect![[r#"
            passwords = ['Xk7vR2mp', "Yk8wS3nq"]  ->  ["Xk7vR2mp", "Yk8wS3nq"]
            PASSWORDS = {'jane': 'Xk7vR2mp', 'id': 'Yk8wS3nq'}  ->  ["Xk7vR2mp"]
            user, password = 'admin', 'Xk7vR2mp'  ->  ["Xk7vR2mp"]
            PASSWORD, USER = 'Xk7vR2mp', 'admin'  ->  ["Xk7vR2mp"]
            f(user, password='Xk7vR2mp')  ->  ["Xk7vR2mp"]
            password = SecretStr('Xk7vR2mp')  ->  ["Xk7vR2mp"]
            password = """Xk7vR2mp"""  ->  ["Xk7vR2mp"]
            password = password.encode('utf-8')  ->  []
            password = os.environ.get('DB_PASSWORD') or 'Xk7vR2mp3'  ->  ["Xk7vR2mp3"]
            add_argument('--password', type=str, default='Xk7vR2mp')  ->  ["Xk7vR2mp"]
            keyring.set_password('svc', 'etl', 'Xk7vR2mp')  ->  ["Xk7vR2mp"]
            option('password', 'Xk7vR2mp')  ->  ["Xk7vR2mp"]
            const PASSWORD: &str = "Xk7vR2mp";  ->  ["Xk7vR2mp"]
            password: str | None = 'Xk7vR2mp'  ->  ["Xk7vR2mp"]
            pub const PASSWORD_MAX: u32 = 257;  ->  []
            pymysql.connect('h', 'root', 'Xk7vR2mp', 'db')  ->  ["Xk7vR2mp"]
            jwt.encode(payload, 'Xk7!vR2mpQz', algorithm='HS256')  ->  ["Xk7!vR2mpQz"]
            parse_authenticate(response, 'www-authenticate')  ->  []
            ssh.connect(h, 22, 'etl', 'Xk7vR2mp')  ->  ["Xk7vR2mp"]
            psycopg2.connect('h', 'etl', 'warehouse')  ->  []
            SELECT * FROM mysql('h:3306', 'd', 't', 'u', 'Xk7vR2mp')  ->  ["Xk7vR2mp"]
            INSERT INTO users (login, password) VALUES ('admin', 'kopretina'), ('etl', 'Xk7vR2mp')  ->  ["kopretina", "Xk7vR2mp"]
            insert into t ("api_token", id)
            values
            ('uxovWgir03ImcBPc5G3B', 1)  ->  ["uxovWgir03ImcBPc5G3B"]
            INSERT INTO users (login, password) SELECT 'admin', 'kopretina'  ->  []
            SELECT CASE WHEN a = 1 THEN 'uxovWgir03ImcBPc5G3B' END AS "acme_token"  ->  ["uxovWgir03ImcBPc5G3B"]
            pass 'x7' on, pass --all, pass -march=x86-64  ->  []
        "#]],
    );
}

#[test]
fn more_clauses_of_sql() {
    check(
        &[
            "ALTER USER dwh IDENTIFIED BY Xk7vR2mp9;",
            "CREATE USER u IDENTIFIED WITH sha256_password BY 'Xk7vR2mp';",
            "SET PASSWORD FOR 'k'@'%' = PASSWORD('Xk7vR2mp');",
            "DECLARE @pwd NVARCHAR(50) = N'Xk7vR2mp';",
            "DECLARE pwd STRING DEFAULT 'Xk7vR2mp';",
            "WHERE api_token IN ('7c9e6679f4254a0c8b1de07a55c3f912')",
            "SELECT '7c9e6679f4254a0c8b1de07a55c3f912' AS api_key",
            "Rows are identified by `order_id7` and identified by 'row_id7'.",
            "CREATE USER u IDENTIFIED EXTERNALLY",
        ],
        &expect![[r#"
            ALTER USER dwh IDENTIFIED BY Xk7vR2mp9;  ->  ["Xk7vR2mp9"]
            CREATE USER u IDENTIFIED WITH sha256_password BY 'Xk7vR2mp';  ->  ["Xk7vR2mp"]
            SET PASSWORD FOR 'k'@'%' = PASSWORD('Xk7vR2mp');  ->  ["Xk7vR2mp"]
            DECLARE @pwd NVARCHAR(50) = N'Xk7vR2mp';  ->  ["Xk7vR2mp"]
            DECLARE pwd STRING DEFAULT 'Xk7vR2mp';  ->  ["Xk7vR2mp"]
            WHERE api_token IN ('7c9e6679f4254a0c8b1de07a55c3f912')  ->  ["7c9e6679f4254a0c8b1de07a55c3f912"]
            SELECT '7c9e6679f4254a0c8b1de07a55c3f912' AS api_key  ->  ["7c9e6679f4254a0c8b1de07a55c3f912"]
            Rows are identified by `order_id7` and identified by 'row_id7'.  ->  []
            CREATE USER u IDENTIFIED EXTERNALLY  ->  []
        "#]],
    );
}

#[test]
fn values_in_markup_and_pairs() {
    check(
        &[
            "<wsse:Password Type=\"x\">Xk7vR2mp</wsse:Password>",
            "<add key=\"SmtpPassword\" value=\"Xk7vR2mp\"/>",
            "<property name=\"password\">Xk7vR2mp</property>",
            "<key>password</key>\n<value>Xk7vR2mp</value>",
            "<b>Password:</b> Xk7vR2mp",
            "<a href=\"x.LatePass\"><code>LatePass7</code></a>",
            "{'name': 'password', 'value': 'Xk7vR2mp'}",
            "- name: DB_PASSWORD\n  value: \"Xk7vR2mp\"",
            "variable \"db_password\" {\n  default = \"Xk7vR2mp\"\n}",
            "| login | password |\n|---|---|\n| etl | Xk7vR2mp |\n| bi | `Yk8wS3nq` |",
        ],
        &expect![[r#"
            <wsse:Password Type="x">Xk7vR2mp</wsse:Password>  ->  ["Xk7vR2mp"]
            <add key="SmtpPassword" value="Xk7vR2mp"/>  ->  ["Xk7vR2mp"]
            <property name="password">Xk7vR2mp</property>  ->  ["Xk7vR2mp"]
            <key>password</key>
            <value>Xk7vR2mp</value>  ->  ["Xk7vR2mp"]
            <b>Password:</b> Xk7vR2mp  ->  ["Xk7vR2mp"]
            <a href="x.LatePass"><code>LatePass7</code></a>  ->  []
            {'name': 'password', 'value': 'Xk7vR2mp'}  ->  ["Xk7vR2mp"]
            - name: DB_PASSWORD
              value: "Xk7vR2mp"  ->  ["Xk7vR2mp"]
            variable "db_password" {
              default = "Xk7vR2mp"
            }  ->  ["Xk7vR2mp"]
            | login | password |
            |---|---|
            | etl | Xk7vR2mp |
            | bi | `Yk8wS3nq` |  ->  ["Xk7vR2mp", "Yk8wS3nq"]
        "#]],
    );
}

#[test]
fn lines_of_environments_and_more_sentences() {
    check(
        &[
            "export DB_PASSWORD=kopretina",
            "tool --password=Kopretina",
            "Server=h;Uid=u;Pwd=TajneHeslo;",
            "machine x login etl password Kopretina7",
            "db.acme.example:5432:crm:etl:Orel-2025",
            "sqlplus etl/Orel2025@orcl",
            "ConvertTo-SecureString 'Orel2025' -AsPlainText",
            "DB credentials: etl / Xk7vR2mp",
            "The password has been reset to Xk7vR2mp.",
            "heslo jsem změnil na Xk7vR2mp",
            "password - Xk7vR2mp",
            "heslo: — Xk7vR2mp",
            "heslo → Xk7vR2mp",
            "password\u{a0}=\u{a0}'Xk7vR2mp'",
            "Password:\nXk7vR2mp99\n",
            "arn:aws:secretsmanager:eu-west-1:1:secret:prod/db-AbCdEf",
            "{\"url\":\"https:\\/\\/etl:Kondor33@x.example\\/a\",\"to\":\"https:\\/\\/x.example\\/b\"}",
            "password=&quot;Xk7vR2mp&quot;",
            "login/heslo: admin/Volavka9",
            "password = '%s:%s'; token = f'share-{a}-{b}'; secret = 'env:TOKEN'",
        ],
        &expect![[r#"
            export DB_PASSWORD=kopretina  ->  ["kopretina"]
            tool --password=Kopretina  ->  ["Kopretina"]
            Server=h;Uid=u;Pwd=TajneHeslo;  ->  ["TajneHeslo"]
            machine x login etl password Kopretina7  ->  ["Kopretina7"]
            db.acme.example:5432:crm:etl:Orel-2025  ->  ["Orel-2025"]
            sqlplus etl/Orel2025@orcl  ->  ["Orel2025"]
            ConvertTo-SecureString 'Orel2025' -AsPlainText  ->  ["Orel2025"]
            DB credentials: etl / Xk7vR2mp  ->  ["Xk7vR2mp"]
            The password has been reset to Xk7vR2mp.  ->  ["Xk7vR2mp"]
            heslo jsem změnil na Xk7vR2mp  ->  ["Xk7vR2mp"]
            password - Xk7vR2mp  ->  ["Xk7vR2mp"]
            heslo: — Xk7vR2mp  ->  []
            heslo → Xk7vR2mp  ->  ["Xk7vR2mp"]
            password = 'Xk7vR2mp'  ->  ["Xk7vR2mp"]
            Password:
            Xk7vR2mp99
              ->  ["Xk7vR2mp99"]
            arn:aws:secretsmanager:eu-west-1:1:secret:prod/db-AbCdEf  ->  []
            {"url":"https:\/\/etl:Kondor33@x.example\/a","to":"https:\/\/x.example\/b"}  ->  ["Kondor33"]
            password=&quot;Xk7vR2mp&quot;  ->  ["Xk7vR2mp&quot"]
            login/heslo: admin/Volavka9  ->  ["Volavka9"]
            password = '%s:%s'; token = f'share-{a}-{b}'; secret = 'env:TOKEN'  ->  []
        "#]],
    );
}
