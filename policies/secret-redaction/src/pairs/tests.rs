//! Texts of every kind, and what goes of them.

use crate::scan::{Depth, Scanner};
use expect_test::{Expect, expect};

#[track_caller]
fn check(texts: &[&str], expected: &Expect) {
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
