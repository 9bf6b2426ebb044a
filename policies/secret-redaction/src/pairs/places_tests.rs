//! Places at which values stand apart from their names: in tables of lines, below a name, in sentences about a change.

use super::tests::check;
use expect_test::expect;

#[test]
fn columns_of_lines() {
    check(
        &[
            "id,login,heslo,email\n1,jana,Tr0mpeta9,jana@acme.example\n2,petr,Krtek.zima22,petr@acme.example\n",
            "\"id\";\"login\";\"password\"\n\"1\";\"jana\";\"Welcome@1740\"\n",
            "login\tpassword\njana\tModraLampa6\n",
            "notes\n\nservice,api_token\nacme,7Qm2gbhP8NCjap7HzHPo\n",
            "key,value\nurl,https://acme.example\nacme_token,7Qm2gbhP8NCjap7HzHPo\n",
            "klic;hodnota\nFTP_PASS;Tr0mpeta9\n",
            "login,password\njana,required\n",
            "id,row_key\n1,0f3a9c71d25e84b60f3a9c71d25e84b6\n",
            "def f(login, password,\n      Tr0mpeta9, x2)",
            "first line\nlogin,password\njana,Tr0mpeta9\n",
            "login,password\njana,Tr0mpeta9,x\n",
            "name;note\nFTP_PASS;Tr0mpeta9\n",
        ],
        &expect![[r#"
            id,login,heslo,email
            1,jana,Tr0mpeta9,jana@acme.example
            2,petr,Krtek.zima22,petr@acme.example
              ->  ["Tr0mpeta9", "Krtek.zima22"]
            "id";"login";"password"
            "1";"jana";"Welcome@1740"
              ->  ["Welcome@1740"]
            login	password
            jana	ModraLampa6
              ->  ["ModraLampa6"]
            notes

            service,api_token
            acme,7Qm2gbhP8NCjap7HzHPo
              ->  ["7Qm2gbhP8NCjap7HzHPo"]
            key,value
            url,https://acme.example
            acme_token,7Qm2gbhP8NCjap7HzHPo
              ->  ["7Qm2gbhP8NCjap7HzHPo"]
            klic;hodnota
            FTP_PASS;Tr0mpeta9
              ->  ["Tr0mpeta9"]
            login,password
            jana,required
              ->  []
            id,row_key
            1,0f3a9c71d25e84b60f3a9c71d25e84b6
              ->  []
            def f(login, password,
                  Tr0mpeta9, x2)  ->  []
            first line
            login,password
            jana,Tr0mpeta9
              ->  []
            login,password
            jana,Tr0mpeta9,x
              ->  []
            name;note
            FTP_PASS;Tr0mpeta9
              ->  []
        "#]],
    );
}

#[test]
fn values_below_their_names() {
    check(
        &[
            "acme\nKEY\n7Qm2gbhP8NCjap7HzHPoWx\n",
            "acme\nSECRET \n0f3a9c71d25e84b60f3a9c71d25e84b6\n",
            "### Heslo\n\nTr0mpeta9!\n",
            "**Login**\netl\n**Heslo**\nTr0mpeta9!\n",
            "password: |\n  Tr0mpeta9!\n",
            "password: >-\n  ModraLampa96\n",
            "api_key:\n  7Qm2gbhP8NCjap7HzHPo\n",
            "env:\n  - name: DB_PASSWORD\n    value: Tr0mpeta9!\n",
            "tokens:\n  - 7Qm2gbhP8NCjap7HzHPo\n  - \"0f3a9c71d25e84b60f3a9c71d25e84b6\"\n",
            "passwords:\n- Tr0mpeta9\n- name: x\n",
            "the key\n7Qm2gbhP8NCjap7HzHPoWx\n",
            "KEY\n7Qm2gbhP8NCjap7HzHPoWx and more\n",
            "key\ncustomer_orders_by_region\n",
            "password:\n  field: Tr0mpeta9!\n",
        ],
        &expect![[r#"
            acme
            KEY
            7Qm2gbhP8NCjap7HzHPoWx
              ->  ["7Qm2gbhP8NCjap7HzHPoWx"]
            acme
            SECRET 
            0f3a9c71d25e84b60f3a9c71d25e84b6
              ->  ["0f3a9c71d25e84b60f3a9c71d25e84b6"]
            ### Heslo

            Tr0mpeta9!
              ->  ["Tr0mpeta9!"]
            **Login**
            etl
            **Heslo**
            Tr0mpeta9!
              ->  ["Tr0mpeta9!"]
            password: |
              Tr0mpeta9!
              ->  ["Tr0mpeta9!"]
            password: >-
              ModraLampa96
              ->  ["ModraLampa96"]
            api_key:
              7Qm2gbhP8NCjap7HzHPo
              ->  ["7Qm2gbhP8NCjap7HzHPo"]
            env:
              - name: DB_PASSWORD
                value: Tr0mpeta9!
              ->  ["Tr0mpeta9!"]
            tokens:
              - 7Qm2gbhP8NCjap7HzHPo
              - "0f3a9c71d25e84b60f3a9c71d25e84b6"
              ->  ["7Qm2gbhP8NCjap7HzHPo", "0f3a9c71d25e84b60f3a9c71d25e84b6"]
            passwords:
            - Tr0mpeta9
            - name: x
              ->  ["Tr0mpeta9"]
            the key
            7Qm2gbhP8NCjap7HzHPoWx
              ->  []
            KEY
            7Qm2gbhP8NCjap7HzHPoWx and more
              ->  []
            key
            customer_orders_by_region
              ->  []
            password:
              field: Tr0mpeta9!
              ->  []
        "#]],
    );
}

#[test]
fn sentences_and_elements() {
    check(
        &[
            "I changed the password to Tr0mpeta9 yesterday",
            "Update acme token to 0f3a9c71-d25e-84b6-0f3a-9c71d25e84b6",
            "I changed the password from Tr0mpeta9 to the vault one",
            "Změna hesla na Tr0mpeta9",
            "heslo změněno z Tr0mpeta9",
            "password updated (Tr0mpeta9!)",
            "password (Tr0mpeta9!)",
            "rotate password from Jaro2023! to Tr0mpeta9!",
            "changed api key from old to 7Qm2gbhP8NCjap7HzHPo",
            "změnil heslo z Jaro2023! na Tr0mpeta9!",
            "Změnil jsem heslo na Tr0mpeta9",
            "Password reset to \"Tr0mpeta9\"",
            "Updated credentials (dwh:Tr0mpeta9!)",
            "COMMENT ON COLUMN t.password IS 'bcrypt_v1'",
            "0f3a9c71d25e84b60f3a9c71d25e84b60f3a9c71 is the token",
            "use 0f3a9c71d25e84b60f3a as the api key",
            "I set Tr0mpeta9 as the new password",
            "nové heslo uživatele etl je Tr0mpeta9",
            "mot de passe : Tr0mpeta9",
            "<b>Heslo</b>: Tr0mpeta9",
            "<request><auth><apiKey>7Qm2gbhP8NCjap7HzHPoWx7Qm2gbhP8NCjap7HzHPoWx7Qm2gbhP</apiKey></auth></request>",
            "<member><name>heslo</name><value><string>Tr0mpeta9</string></value></member>",
            "Seed phrase: wave legal canyon hammer ribbon ocean ladder garage velvet year oven brisk",
            "seed_phrase = wave legal canyon hammer ribbon ocean ladder garage velvet year oven brisk",
            "I changed the password to the one of the vault",
            "we set the key to value",
            "password (min 8 characters)",
            "<b>Heslo</b>: viz trezor",
            "Seed phrase: see the vault of the team for it",
        ],
        &expect![[r#"
            I changed the password to Tr0mpeta9 yesterday  ->  ["Tr0mpeta9"]
            Update acme token to 0f3a9c71-d25e-84b6-0f3a-9c71d25e84b6  ->  ["0f3a9c71-d25e-84b6-0f3a-9c71d25e84b6"]
            I changed the password from Tr0mpeta9 to the vault one  ->  ["Tr0mpeta9"]
            Změna hesla na Tr0mpeta9  ->  ["Tr0mpeta9"]
            heslo změněno z Tr0mpeta9  ->  ["Tr0mpeta9"]
            password updated (Tr0mpeta9!)  ->  ["Tr0mpeta9!"]
            password (Tr0mpeta9!)  ->  ["Tr0mpeta9!"]
            rotate password from Jaro2023! to Tr0mpeta9!  ->  ["Jaro2023!", "Tr0mpeta9!"]
            changed api key from old to 7Qm2gbhP8NCjap7HzHPo  ->  ["7Qm2gbhP8NCjap7HzHPo"]
            změnil heslo z Jaro2023! na Tr0mpeta9!  ->  ["Jaro2023!", "Tr0mpeta9!"]
            Změnil jsem heslo na Tr0mpeta9  ->  ["Tr0mpeta9"]
            Password reset to "Tr0mpeta9"  ->  ["Tr0mpeta9"]
            Updated credentials (dwh:Tr0mpeta9!)  ->  ["Tr0mpeta9!"]
            COMMENT ON COLUMN t.password IS 'bcrypt_v1'  ->  []
            0f3a9c71d25e84b60f3a9c71d25e84b60f3a9c71 is the token  ->  ["0f3a9c71d25e84b60f3a9c71d25e84b60f3a9c71"]
            use 0f3a9c71d25e84b60f3a as the api key  ->  ["0f3a9c71d25e84b60f3a"]
            I set Tr0mpeta9 as the new password  ->  ["Tr0mpeta9"]
            nové heslo uživatele etl je Tr0mpeta9  ->  ["Tr0mpeta9"]
            mot de passe : Tr0mpeta9  ->  ["Tr0mpeta9"]
            <b>Heslo</b>: Tr0mpeta9  ->  ["Tr0mpeta9"]
            <request><auth><apiKey>7Qm2gbhP8NCjap7HzHPoWx7Qm2gbhP8NCjap7HzHPoWx7Qm2gbhP</apiKey></auth></request>  ->  ["7Qm2gbhP8NCjap7HzHPoWx7Qm2gbhP8NCjap7HzHPoWx7Qm2gbhP"]
            <member><name>heslo</name><value><string>Tr0mpeta9</string></value></member>  ->  ["Tr0mpeta9"]
            Seed phrase: wave legal canyon hammer ribbon ocean ladder garage velvet year oven brisk  ->  ["wave legal canyon hammer ribbon ocean ladder garage velvet year oven brisk"]
            seed_phrase = wave legal canyon hammer ribbon ocean ladder garage velvet year oven brisk  ->  ["wave legal canyon hammer ribbon ocean ladder garage velvet year oven brisk"]
            I changed the password to the one of the vault  ->  []
            we set the key to value  ->  []
            password (min 8 characters)  ->  []
            <b>Heslo</b>: viz trezor  ->  []
            Seed phrase: see the vault of the team for it  ->  []
        "#]],
    );
}

#[test]
fn names_with_a_value_glued_to_them_and_in_calls() {
    check(
        &[
            "acme_key.access.0f3a9c71d25e84b60f3a9c71d25e84b6",
            "acmeTOKEN.0f3a9c71d25e84b60f3a9c71d25e84b6",
            "acmeaccess-0f3a9c71d25e84b60f3a9c71d25e84b6",
            "acme KEY tst-key-0f3a9c71d25e84b60f3a9c71d25e84b6",
            "acme SECRET abcdefghijklmnopqrst",
            "acme KEY hqjwtzpvbkxrmdgnslcfhsjwA",
            "define('DB_PASSWORD', 'qwerty77')",
            "net use Z: \\\\h\\share /user:dwh Tr0mpeta9!",
            "mysql_connect(\"localhost\", \"root\", \"password123\")",
            "SHA2(token, 256) AS token_hash, '1a82c093-batch' AS batch",
            "password_env: DB_PASSWORD1\n",
            "os.getenv('ACME_KEY', '0f3a9c71d25e84b60f3a9c71d25e84b6')",
            "driver.find_element(By.ID, 'password').send_keys('Tr0mpeta9')",
            "connect('h', 'etl', 'Welcome@1740')",
            "SELECT * FROM OPENROWSET('SQLNCLI','srv';'sa';'ModraLampa62','select 1')",
            "host=h dbname=d password=Tr0m&peta#91 sslmode=require",
            "ALTER USER etl SET PASSWORD = 'modra pepper river leto'",
            "acme_key = 'SaqUZpBRQEkHgMKCtoKRCSjP'",
            "acme: pY8V4v7pPRMprtyUIj+PkQiV9CFLsMqJq0MsgmtrqYQ=",
            "password = '%EKry58l%'",
            "password = '((db-password))'",
            "password = 'see the vault of our team'",
            "Heslo: Kx9(vT4mQ65pL",
            "pass: jezek.falcon11\n",
            "password = config.value1\n",
            "password: get_value(",
            "import token.parser.of_the_language_2026",
        ],
        &expect![[r#"
            acme_key.access.0f3a9c71d25e84b60f3a9c71d25e84b6  ->  ["0f3a9c71d25e84b60f3a9c71d25e84b6"]
            acmeTOKEN.0f3a9c71d25e84b60f3a9c71d25e84b6  ->  ["0f3a9c71d25e84b60f3a9c71d25e84b6"]
            acmeaccess-0f3a9c71d25e84b60f3a9c71d25e84b6  ->  ["0f3a9c71d25e84b60f3a9c71d25e84b6"]
            acme KEY tst-key-0f3a9c71d25e84b60f3a9c71d25e84b6  ->  ["tst-key-0f3a9c71d25e84b60f3a9c71d25e84b6"]
            acme SECRET abcdefghijklmnopqrst  ->  ["abcdefghijklmnopqrst"]
            acme KEY hqjwtzpvbkxrmdgnslcfhsjwA  ->  ["hqjwtzpvbkxrmdgnslcfhsjwA"]
            define('DB_PASSWORD', 'qwerty77')  ->  ["qwerty77"]
            net use Z: \\h\share /user:dwh Tr0mpeta9!  ->  ["Tr0mpeta9!"]
            mysql_connect("localhost", "root", "password123")  ->  ["password123"]
            SHA2(token, 256) AS token_hash, '1a82c093-batch' AS batch  ->  []
            password_env: DB_PASSWORD1
              ->  []
            os.getenv('ACME_KEY', '0f3a9c71d25e84b60f3a9c71d25e84b6')  ->  ["0f3a9c71d25e84b60f3a9c71d25e84b6"]
            driver.find_element(By.ID, 'password').send_keys('Tr0mpeta9')  ->  ["Tr0mpeta9"]
            connect('h', 'etl', 'Welcome@1740')  ->  ["Welcome@1740"]
            SELECT * FROM OPENROWSET('SQLNCLI','srv';'sa';'ModraLampa62','select 1')  ->  ["ModraLampa62"]
            host=h dbname=d password=Tr0m&peta#91 sslmode=require  ->  ["Tr0m&peta#91"]
            ALTER USER etl SET PASSWORD = 'modra pepper river leto'  ->  ["modra pepper river leto"]
            acme_key = 'SaqUZpBRQEkHgMKCtoKRCSjP'  ->  ["SaqUZpBRQEkHgMKCtoKRCSjP"]
            acme: pY8V4v7pPRMprtyUIj+PkQiV9CFLsMqJq0MsgmtrqYQ=  ->  ["pY8V4v7pPRMprtyUIj+PkQiV9CFLsMqJq0MsgmtrqYQ="]
            password = '%EKry58l%'  ->  ["%EKry58l%"]
            password = '((db-password))'  ->  []
            password = 'see the vault of our team'  ->  []
            Heslo: Kx9(vT4mQ65pL  ->  ["Kx9(vT4mQ65pL"]
            pass: jezek.falcon11
              ->  ["jezek.falcon11"]
            password = config.value1
              ->  []
            password: get_value(  ->  []
            import token.parser.of_the_language_2026  ->  []
        "#]],
    );
}

#[test]
fn values_that_code_puts_together_or_chooses() {
    const KEY: &str = "0f3a9c71d25e84b60f3a9c71d25e84b6";
    let texts = [
        format!("headers = {{\"Authorization\": \"Bearer \" + \"{KEY}\"}}"),
        format!("h = {{'Authorization': 'Bearer {{}}'.format('{KEY}')}}"),
        format!("\"Authorization\": \"Bearer %s\" % \"{KEY}\""),
        format!("url = base + '?api_key=' + '{KEY}'"),
        format!("'https://acme.example/a?token={{}}'.format('{KEY}')"),
        format!("token = cfg['token'] if 'token' in cfg else '{KEY}'"),
        format!("ENV['API_KEY'] ||= '{KEY}'"),
        format!("api_key ??= '{KEY}'"),
        format!("SET token TO '{KEY}'"),
        "\"Tr0mpeta9\" -> password".to_owned(),
        "password <<- \"Tr0mpeta9\"".to_owned(),
        "SET password = $$Tr0mpeta9$$;".to_owned(),
        "\"Authorization\": \"Bearer \" + token".to_owned(),
        "url = base + '?api_key=' + key".to_owned(),
        "SET password = $$".to_owned(),
        "x -> password".to_owned(),
        "->password".to_owned(),
    ];
    check(
        &texts.each_ref().map(String::as_str),
        &expect![[r#"
        headers = {"Authorization": "Bearer " + "0f3a9c71d25e84b60f3a9c71d25e84b6"}  ->  ["0f3a9c71d25e84b60f3a9c71d25e84b6"]
        h = {'Authorization': 'Bearer {}'.format('0f3a9c71d25e84b60f3a9c71d25e84b6')}  ->  ["0f3a9c71d25e84b60f3a9c71d25e84b6"]
        "Authorization": "Bearer %s" % "0f3a9c71d25e84b60f3a9c71d25e84b6"  ->  ["0f3a9c71d25e84b60f3a9c71d25e84b6"]
        url = base + '?api_key=' + '0f3a9c71d25e84b60f3a9c71d25e84b6'  ->  ["0f3a9c71d25e84b60f3a9c71d25e84b6"]
        'https://acme.example/a?token={}'.format('0f3a9c71d25e84b60f3a9c71d25e84b6')  ->  ["0f3a9c71d25e84b60f3a9c71d25e84b6"]
        token = cfg['token'] if 'token' in cfg else '0f3a9c71d25e84b60f3a9c71d25e84b6'  ->  ["0f3a9c71d25e84b60f3a9c71d25e84b6"]
        ENV['API_KEY'] ||= '0f3a9c71d25e84b60f3a9c71d25e84b6'  ->  ["0f3a9c71d25e84b60f3a9c71d25e84b6"]
        api_key ??= '0f3a9c71d25e84b60f3a9c71d25e84b6'  ->  ["0f3a9c71d25e84b60f3a9c71d25e84b6"]
        SET token TO '0f3a9c71d25e84b60f3a9c71d25e84b6'  ->  ["0f3a9c71d25e84b60f3a9c71d25e84b6"]
        "Tr0mpeta9" -> password  ->  ["Tr0mpeta9"]
        password <<- "Tr0mpeta9"  ->  ["Tr0mpeta9"]
        SET password = $$Tr0mpeta9$$;  ->  ["Tr0mpeta9"]
        "Authorization": "Bearer " + token  ->  []
        url = base + '?api_key=' + key  ->  []
        SET password = $$  ->  []
        x -> password  ->  []
        ->password  ->  []
    "#]],
    );
}

#[test]
fn notes_in_other_marks_and_languages() {
    const KEY: &str = "0f3a9c71d25e84b60f3a9c71d25e84b6";
    let texts = [
        format!("pomocí tokenu {KEY}"),
        format!("KLÍČ: {KEY}"),
        format!("API-Schlüssel: {KEY}"),
        "API klíč „7Qm2gbhP8NCjap7HzHPo“".to_owned(),
        "heslo „Tr0mpeta9“".to_owned(),
        "the archive is encrypted with Tr0mpeta9Zj4 (password)".to_owned(),
        format!("{KEY} (API key)"),
        "id(master)/pwd(Tr0mpeta9)".to_owned(),
        "přihlášení: etl / Tr0mpeta9".to_owned(),
        "DB_PASSWORD=Mlyn;kvEg86".to_owned(),
        "recovery_code: 8f3k29dk2l3m4n5b".to_owned(),
        "API_KEY=cVjnQNMPpsErhaumbRayYLqwYEteulJbWOpEcwWd".to_owned(),
        "API klíč „jako minule“".to_owned(),
        "<a class=\"x\">CryptoKey</a> (secret key)".to_owned(),
        "check_password(user1)".to_owned(),
        "heslo: (skryto)".to_owned(),
        "DB_PASSWORD=<insert token here>".to_owned(),
        "API_KEY=getSecretFromEnvironmentVariables".to_owned(),
    ];
    check(
        &texts.each_ref().map(String::as_str),
        &expect![[r#"
        pomocí tokenu 0f3a9c71d25e84b60f3a9c71d25e84b6  ->  ["0f3a9c71d25e84b60f3a9c71d25e84b6"]
        KLÍČ: 0f3a9c71d25e84b60f3a9c71d25e84b6  ->  ["0f3a9c71d25e84b60f3a9c71d25e84b6"]
        API-Schlüssel: 0f3a9c71d25e84b60f3a9c71d25e84b6  ->  ["0f3a9c71d25e84b60f3a9c71d25e84b6"]
        API klíč „7Qm2gbhP8NCjap7HzHPo“  ->  ["7Qm2gbhP8NCjap7HzHPo"]
        heslo „Tr0mpeta9“  ->  ["Tr0mpeta9"]
        the archive is encrypted with Tr0mpeta9Zj4 (password)  ->  ["Tr0mpeta9Zj4"]
        0f3a9c71d25e84b60f3a9c71d25e84b6 (API key)  ->  ["0f3a9c71d25e84b60f3a9c71d25e84b6"]
        id(master)/pwd(Tr0mpeta9)  ->  ["Tr0mpeta9"]
        přihlášení: etl / Tr0mpeta9  ->  ["Tr0mpeta9"]
        DB_PASSWORD=Mlyn;kvEg86  ->  ["Mlyn;kvEg86"]
        recovery_code: 8f3k29dk2l3m4n5b  ->  ["8f3k29dk2l3m4n5b"]
        API_KEY=cVjnQNMPpsErhaumbRayYLqwYEteulJbWOpEcwWd  ->  ["cVjnQNMPpsErhaumbRayYLqwYEteulJbWOpEcwWd"]
        API klíč „jako minule“  ->  []
        <a class="x">CryptoKey</a> (secret key)  ->  []
        check_password(user1)  ->  []
        heslo: (skryto)  ->  []
        DB_PASSWORD=<insert token here>  ->  []
        API_KEY=getSecretFromEnvironmentVariables  ->  []
    "#]],
    );
}

#[test]
fn types_calls_and_expressions_in_code_are_no_values() {
    check(
        &[
            "    password: Union[SecretText, str] = ''",
            "sender_password: Optional[Union[SecretText, str]] = None",
            "passphrase: typing.Optional[typing.Union[A, B]]",
            "  token <- Session3.0$new(\n    app = x)",
            "{'client_credentials2': ClientCredentials2,}",
            "{'client_credentials2': ClientKrtek2xQ7,}",
            "class ClientCredentials(Session2Base):",
            "creds = self._make_credentials(retries2=1)",
            "credentials (etl:Krtek.zima22)",
            "credentials: ~/.shop/my_keys2/",
            "matches ``^secret|projects/[a-z0-9_-]{6,30}/secrets``",
            "(?P<password>[^@]*)",
            "<password>Tr0mpeta9</password>",
            "aws_secret_access_key = \"shop.jobs.s3.settings:AWS_SECRET_ACCESS_KEY\"",
            "tokens may be apart: \"--features=-secrets,+context2\"",
            "def f():\n    pass\n\n\n@retired_method(version=\"1.2.3\")\ndef g():",
            "authenticate(token, \"x-oauth-basic\", \"basic\")",
            "{\"password\": \"p@ss:w/rd\"}",
            "-- shop_client_secret: 7QmgbhP8\n",
            "the shop client secret is 0QmgMbt5 for now",
            "the client secret is Version2 for now",
        ],
        &expect![[r#"
                password: Union[SecretText, str] = ''  ->  []
            sender_password: Optional[Union[SecretText, str]] = None  ->  []
            passphrase: typing.Optional[typing.Union[A, B]]  ->  []
              token <- Session3.0$new(
                app = x)  ->  []
            {'client_credentials2': ClientCredentials2,}  ->  []
            {'client_credentials2': ClientKrtek2xQ7,}  ->  ["ClientKrtek2xQ7"]
            class ClientCredentials(Session2Base):  ->  []
            creds = self._make_credentials(retries2=1)  ->  []
            credentials (etl:Krtek.zima22)  ->  ["Krtek.zima22"]
            credentials: ~/.shop/my_keys2/  ->  []
            matches ``^secret|projects/[a-z0-9_-]{6,30}/secrets``  ->  []
            (?P<password>[^@]*)  ->  []
            <password>Tr0mpeta9</password>  ->  ["Tr0mpeta9"]
            aws_secret_access_key = "shop.jobs.s3.settings:AWS_SECRET_ACCESS_KEY"  ->  []
            tokens may be apart: "--features=-secrets,+context2"  ->  []
            def f():
                pass


            @retired_method(version="1.2.3")
            def g():  ->  []
            authenticate(token, "x-oauth-basic", "basic")  ->  []
            {"password": "p@ss:w/rd"}  ->  ["p@ss:w/rd"]
            -- shop_client_secret: 7QmgbhP8
              ->  ["7QmgbhP8"]
            the shop client secret is 0QmgMbt5 for now  ->  ["0QmgMbt5"]
            the client secret is Version2 for now  ->  []
        "#]],
    );
}
