//! Texts in which half of a value stayed, and other forms of names and values; the rest is in `tests.rs`.

use super::tests::check;
use crate::scan::{Depth, Scanner};
use expect_test::expect;

#[test]
fn a_value_goes_to_its_end() {
    check(
        &[
            "heslo: Tr0mpeta&9q",
            "uživatel etl, heslo Tr0mpeta&9q a port 5432",
            "with the password Tr0mpeta&9q and run",
            "- heslo: Tr0mp;eta9,q\n- port: 1",
            "DB_PASSWORD=Tr0mp&eta9)q\nDB_USER=x",
            "export DB_PASSWORD=Tr0mp'eta9q\n",
            "spring.datasource.password = Tr0mp|eta9q\n",
            "Server=h;Uid=u;Pwd=Tr0mp&eta9,q;Port=1",
            "<password>Tr0mp&amp;eta9q</password>",
            "password: 'Tr0mp''eta9q'",
            "heslo: X7,mQ2pzRt a dál",
            "(heslo: Tr0mpeta9)",
            "password=Tr0mpeta9&user=etl",
            "password: Tr0mpeta9, user: etl",
            "| heslo: Tr0mpeta9|x |",
            "<b>heslo: Tr0mpeta9</b>",
            "password: string|null\n",
            "f(password=Tr0mpeta9)",
        ],
        &expect![[r#"
            heslo: Tr0mpeta&9q  ->  ["Tr0mpeta&9q"]
            uživatel etl, heslo Tr0mpeta&9q a port 5432  ->  ["Tr0mpeta&9q"]
            with the password Tr0mpeta&9q and run  ->  ["Tr0mpeta&9q"]
            - heslo: Tr0mp;eta9,q
            - port: 1  ->  ["Tr0mp;eta9,q"]
            DB_PASSWORD=Tr0mp&eta9)q
            DB_USER=x  ->  ["Tr0mp&eta9)q"]
            export DB_PASSWORD=Tr0mp'eta9q
              ->  ["Tr0mp'eta9q"]
            spring.datasource.password = Tr0mp|eta9q
              ->  ["Tr0mp|eta9q"]
            Server=h;Uid=u;Pwd=Tr0mp&eta9,q;Port=1  ->  ["Tr0mp&eta9,q"]
            <password>Tr0mp&amp;eta9q</password>  ->  ["Tr0mp&amp;eta9q"]
            password: 'Tr0mp''eta9q'  ->  ["Tr0mp''eta9q"]
            heslo: X7,mQ2pzRt a dál  ->  ["X7,mQ2pzRt"]
            (heslo: Tr0mpeta9)  ->  ["Tr0mpeta9"]
            password=Tr0mpeta9&user=etl  ->  ["Tr0mpeta9"]
            password: Tr0mpeta9, user: etl  ->  ["Tr0mpeta9"]
            | heslo: Tr0mpeta9|x |  ->  ["Tr0mpeta9"]
            <b>heslo: Tr0mpeta9</b>  ->  ["Tr0mpeta9"]
            password: string|null
              ->  []
            f(password=Tr0mpeta9)  ->  ["Tr0mpeta9"]
        "#]],
    );
}

#[test]
fn a_token_is_whole_behind_its_number_and_however_long_it_is() {
    let noise = "7Qm2gbhP8NCjap7HzHPo".repeat(40);
    let text = format!("api_token = {noise} # x");
    let hits = Scanner::new().scan(&text, Depth::All(0));
    assert_eq!(hits.len(), 1);
    assert_eq!(&text[hits[0].range.clone()], noise);
    check(
        &[
            "x:\n  token: 52|7Qm2gbhP8NCjap7HzHPoWx4Kd9\n",
            "API_TOKEN=52|7Qm2gbhP8NCjap7HzHPoWx4Kd9",
            "acme auth token |52|7Qm2gbhP8NCjap7HzHPoWx4Kd9",
            "token: 52|orders",
        ],
        &expect![[r#"
            x:
              token: 52|7Qm2gbhP8NCjap7HzHPoWx4Kd9
              ->  ["52|7Qm2gbhP8NCjap7HzHPoWx4Kd9"]
            API_TOKEN=52|7Qm2gbhP8NCjap7HzHPoWx4Kd9  ->  ["52|7Qm2gbhP8NCjap7HzHPoWx4Kd9"]
            acme auth token |52|7Qm2gbhP8NCjap7HzHPoWx4Kd9  ->  ["52|7Qm2gbhP8NCjap7HzHPoWx4Kd9"]
            token: 52|orders  ->  []
        "#]],
    );
}

#[test]
fn what_only_looks_like_code() {
    check(
        &[
            "heslo: Jezevec(31)",
            "heslo: Letni.Kolo.pro.DWH4",
            "heslo Ulice.Zelena5",
            "heslo ModraLampa6",
            "heslo ModraLampa#6",
            "with the password ModraLampa6 and run",
            "password: Ulice.Zelena5\n",
            "| user | password |\n|---|---|\n| a | Jezevec(31) |\n| b | varchar(31) |",
            "password: String(31)\n",
            "Password ModraLampa6 = x;",
            "password OAuth2 and Base64",
            "password <- app$getParameters()$`#password`",
            "password <- config$db$password",
        ],
        &expect![[r#"
            heslo: Jezevec(31)  ->  ["Jezevec(31)"]
            heslo: Letni.Kolo.pro.DWH4  ->  ["Letni.Kolo.pro.DWH4"]
            heslo Ulice.Zelena5  ->  ["Ulice.Zelena5"]
            heslo ModraLampa6  ->  ["ModraLampa6"]
            heslo ModraLampa#6  ->  ["ModraLampa#6"]
            with the password ModraLampa6 and run  ->  ["ModraLampa6"]
            password: Ulice.Zelena5
              ->  ["Ulice.Zelena5"]
            | user | password |
            |---|---|
            | a | Jezevec(31) |
            | b | varchar(31) |  ->  ["Jezevec(31)"]
            password: String(31)
              ->  []
            Password ModraLampa6 = x;  ->  []
            password OAuth2 and Base64  ->  []
            password <- app$getParameters()$`#password`  ->  []
            password <- config$db$password  ->  []
        "#]],
    );
}

#[test]
fn two_parts_under_a_name_of_both() {
    check(
        &[
            "ID/PW: orel/Xk7vR2mp",
            "ID/PW -> orel/Xk7vR2mp",
            "id/pass:orel,Xk7vR2mp",
            "(ID&PWD):orel/Xk7vR2mp",
            "ID/PW orel(Xk7vR2mp)",
            "login/heslo - orel/Xk7vR2mp",
            "Přístup: orel/Xk7vR2mp",
            "přihlašovací údaje: orel / Xk7vR2mp",
            "Přístup: in.c-main/orders2",
            "user/password: see the notes/manual",
            "Xk7vR2mp is the password",
            "Xk7vR2mp je heslo",
            "this is the password",
            "password in the DWH is Xk7vR2mp",
            "heslo v DWH je Xk7vR2mp",
            "password(default:Xk7vR2mp)",
            "<ID>orel</ID> <PW>Xk7vR2mp</PW>",
            "heslo -> Xk7vR2mp",
            "Unseal Key 2: 4ZkQ+7YYCxqhqHwTm7/eC3MpQ5JHJbZl3QK8Sz81R+Q3",
        ],
        &expect![[r#"
            ID/PW: orel/Xk7vR2mp  ->  ["Xk7vR2mp"]
            ID/PW -> orel/Xk7vR2mp  ->  ["Xk7vR2mp"]
            id/pass:orel,Xk7vR2mp  ->  ["Xk7vR2mp"]
            (ID&PWD):orel/Xk7vR2mp  ->  ["Xk7vR2mp"]
            ID/PW orel(Xk7vR2mp)  ->  ["Xk7vR2mp"]
            login/heslo - orel/Xk7vR2mp  ->  ["Xk7vR2mp"]
            Přístup: orel/Xk7vR2mp  ->  ["Xk7vR2mp"]
            přihlašovací údaje: orel / Xk7vR2mp  ->  ["Xk7vR2mp"]
            Přístup: in.c-main/orders2  ->  []
            user/password: see the notes/manual  ->  []
            Xk7vR2mp is the password  ->  ["Xk7vR2mp"]
            Xk7vR2mp je heslo  ->  ["Xk7vR2mp"]
            this is the password  ->  []
            password in the DWH is Xk7vR2mp  ->  ["Xk7vR2mp"]
            heslo v DWH je Xk7vR2mp  ->  ["Xk7vR2mp"]
            password(default:Xk7vR2mp)  ->  ["Xk7vR2mp"]
            <ID>orel</ID> <PW>Xk7vR2mp</PW>  ->  ["Xk7vR2mp"]
            heslo -> Xk7vR2mp  ->  ["Xk7vR2mp"]
            Unseal Key 2: 4ZkQ+7YYCxqhqHwTm7/eC3MpQ5JHJbZl3QK8Sz81R+Q3  ->  ["4ZkQ+7YYCxqhqHwTm7/eC3MpQ5JHJbZl3QK8Sz81R+Q3"]
        "#]],
    );
}

#[test]
fn names_that_promise_little() {
    let noise = "7c9e6679f4254a0c8b1de07a55c3f912";
    let named: Vec<String> = [
        "cred: ",
        "\"cred\": \"",
        "hmac = '",
        "Cookie: ",
        "session_id=",
        "sessionId: ",
        "X-User-Key: ",
        "userKey: ",
        "accessCode = '",
        "authCode: ",
        "https://x.example/?sid=",
        "https://x.example/?a=1&license=",
        "clave: ",
        "Authorization: ",
        "klicApi: ",
    ]
    .iter()
    .flat_map(|name| {
        let quote = &name[name.len() - 1..];
        let quote = if ["'", "\""].contains(&quote) { quote } else { "" };
        [
            format!("{name}{noise}{quote}"),
            format!("{name}orders_2024{quote}"),
        ]
    })
    .collect();
    check(
        &named.iter().map(String::as_str).collect::<Vec<_>>(),
        &expect![[r#"
            cred: 7c9e6679f4254a0c8b1de07a55c3f912  ->  ["7c9e6679f4254a0c8b1de07a55c3f912"]
            cred: orders_2024  ->  []
            "cred": "7c9e6679f4254a0c8b1de07a55c3f912"  ->  ["7c9e6679f4254a0c8b1de07a55c3f912"]
            "cred": "orders_2024"  ->  []
            hmac = '7c9e6679f4254a0c8b1de07a55c3f912'  ->  ["7c9e6679f4254a0c8b1de07a55c3f912"]
            hmac = 'orders_2024'  ->  []
            Cookie: 7c9e6679f4254a0c8b1de07a55c3f912  ->  ["7c9e6679f4254a0c8b1de07a55c3f912"]
            Cookie: orders_2024  ->  []
            session_id=7c9e6679f4254a0c8b1de07a55c3f912  ->  ["7c9e6679f4254a0c8b1de07a55c3f912"]
            session_id=orders_2024  ->  []
            sessionId: 7c9e6679f4254a0c8b1de07a55c3f912  ->  ["7c9e6679f4254a0c8b1de07a55c3f912"]
            sessionId: orders_2024  ->  []
            X-User-Key: 7c9e6679f4254a0c8b1de07a55c3f912  ->  ["7c9e6679f4254a0c8b1de07a55c3f912"]
            X-User-Key: orders_2024  ->  []
            userKey: 7c9e6679f4254a0c8b1de07a55c3f912  ->  ["7c9e6679f4254a0c8b1de07a55c3f912"]
            userKey: orders_2024  ->  []
            accessCode = '7c9e6679f4254a0c8b1de07a55c3f912'  ->  ["7c9e6679f4254a0c8b1de07a55c3f912"]
            accessCode = 'orders_2024'  ->  []
            authCode: 7c9e6679f4254a0c8b1de07a55c3f912  ->  ["7c9e6679f4254a0c8b1de07a55c3f912"]
            authCode: orders_2024  ->  []
            https://x.example/?sid=7c9e6679f4254a0c8b1de07a55c3f912  ->  ["7c9e6679f4254a0c8b1de07a55c3f912"]
            https://x.example/?sid=orders_2024  ->  []
            https://x.example/?a=1&license=7c9e6679f4254a0c8b1de07a55c3f912  ->  ["7c9e6679f4254a0c8b1de07a55c3f912"]
            https://x.example/?a=1&license=orders_2024  ->  []
            clave: 7c9e6679f4254a0c8b1de07a55c3f912  ->  ["7c9e6679f4254a0c8b1de07a55c3f912"]
            clave: orders_2024  ->  []
            Authorization: 7c9e6679f4254a0c8b1de07a55c3f912  ->  ["7c9e6679f4254a0c8b1de07a55c3f912"]
            Authorization: orders_2024  ->  []
            klicApi: 7c9e6679f4254a0c8b1de07a55c3f912  ->  ["7c9e6679f4254a0c8b1de07a55c3f912"]
            klicApi: orders_2024  ->  []
        "#]],
    );
    check(
        &[
            "Set-Cookie: sid=7c9e6679f4254a0c8b1de07a55c3f912; Path=/; HttpOnly",
            "Cookie: PART_NUMBER=TABLE_LEG_0001; shop=acme",
            "rootpw: Xk7vR2mp",
            "motdepasse = 'Xk7vR2mp'",
            "contrasena: Xk7vR2mp",
            "salasana: Xk7vR2mp",
            "X-Api-Key: ZK9-TOA-QF5-WYJ",
            "api_key: 2024-0101-0202-0303",
        ],
        &expect![[r#"
            Set-Cookie: sid=7c9e6679f4254a0c8b1de07a55c3f912; Path=/; HttpOnly  ->  ["7c9e6679f4254a0c8b1de07a55c3f912"]
            Cookie: PART_NUMBER=TABLE_LEG_0001; shop=acme  ->  []
            rootpw: Xk7vR2mp  ->  ["Xk7vR2mp"]
            motdepasse = 'Xk7vR2mp'  ->  ["Xk7vR2mp"]
            contrasena: Xk7vR2mp  ->  ["Xk7vR2mp"]
            salasana: Xk7vR2mp  ->  ["Xk7vR2mp"]
            X-Api-Key: ZK9-TOA-QF5-WYJ  ->  ["ZK9-TOA-QF5-WYJ"]
            api_key: 2024-0101-0202-0303  ->  []
        "#]],
    );
}

#[test]
fn forms_of_sql_shells_php_and_jenkins() {
    let jenkins = ["AQAAABAAAA", "Awq2Kt8mN3pRsTuVwXyZ0bBcDeFgHiJkLmNoPq"].concat();
    let jenkins = [
        format!("<secret>{{{jenkins}}}</secret>"),
        format!("{{\"secret\": \"{{acme {jenkins}}}\"}}"),
    ];
    let mut texts = vec![
        "INSERT INTO mysql.user VALUES (PASSWORD('Xk7vR2mp'));",
        "SELECT PASSWORD ('Xk7vR2mp');",
        "smbclient //fs/x -U 'ACME\\etl%Xk7vR2mp' -c 'get a'",
        "psql -U 'etl%Xk7vR2mp'",
        "net use Z: \\\\fs\\share Xk7vR2mp /user:ACME\\etl",
        "net use Z: \\\\fs\\share * /user:ACME\\etl",
        "define('AUTH_KEY', 'Mk1(>Q%0Vm 3(#p0|2$dC+L|.H$iC~4`Kvw@]:(5;pWVm<<X3^f_S-gh');",
        "define('NONCE_SALT', 'Mk1(>Q%0Vm 3(#p0|2$dC+L|.H$iC~4`Kvw@]:(5;pWVm<<X3^f_S-gh');",
        "define('AUTH_KEY', 'put your unique phrase here, and make it a long one');",
        "<secret>acme 7c9e6679f4254a0c8b1de07a55c3f912</secret>",
    ];
    texts.extend(jenkins.iter().map(String::as_str));
    check(
        &texts,
        &expect![[r#"
        INSERT INTO mysql.user VALUES (PASSWORD('Xk7vR2mp'));  ->  ["Xk7vR2mp"]
        SELECT PASSWORD ('Xk7vR2mp');  ->  ["Xk7vR2mp"]
        smbclient //fs/x -U 'ACME\etl%Xk7vR2mp' -c 'get a'  ->  ["Xk7vR2mp"]
        psql -U 'etl%Xk7vR2mp'  ->  []
        net use Z: \\fs\share Xk7vR2mp /user:ACME\etl  ->  ["Xk7vR2mp"]
        net use Z: \\fs\share * /user:ACME\etl  ->  []
        define('AUTH_KEY', 'Mk1(>Q%0Vm 3(#p0|2$dC+L|.H$iC~4`Kvw@]:(5;pWVm<<X3^f_S-gh');  ->  ["Mk1(>Q%0Vm 3(#p0|2$dC+L|.H$iC~4`Kvw@]:(5;pWVm<<X3^f_S-gh"]
        define('NONCE_SALT', 'Mk1(>Q%0Vm 3(#p0|2$dC+L|.H$iC~4`Kvw@]:(5;pWVm<<X3^f_S-gh');  ->  ["Mk1(>Q%0Vm 3(#p0|2$dC+L|.H$iC~4`Kvw@]:(5;pWVm<<X3^f_S-gh"]
        define('AUTH_KEY', 'put your unique phrase here, and make it a long one');  ->  []
        <secret>acme 7c9e6679f4254a0c8b1de07a55c3f912</secret>  ->  ["7c9e6679f4254a0c8b1de07a55c3f912"]
        <secret>{AQAAABAAAAAwq2Kt8mN3pRsTuVwXyZ0bBcDeFgHiJkLmNoPq}</secret>  ->  ["{AQAAABAAAAAwq2Kt8mN3pRsTuVwXyZ0bBcDeFgHiJkLmNoPq}"]
        {"secret": "{acme AQAAABAAAAAwq2Kt8mN3pRsTuVwXyZ0bBcDeFgHiJkLmNoPq}"}  ->  ["AQAAABAAAAAwq2Kt8mN3pRsTuVwXyZ0bBcDeFgHiJkLmNoPq"]
    "#]],
    );
}

#[test]
fn what_stands_for_a_secret_or_is_none() {
    check(
        &[
            "api_token: '%%API_TOKEN%%'",
            "https://etl:••••••••@x.example",
            "f\"https://etl:{get(name)}@x.example/\"",
            "https://x.example/?pass=word",
            "jdbc:x://h/?pass=leto&user=etl",
            "password: \"ACCOUNT_PASSWORD_FIELD\"",
            "{\"key\": \"exports/7c9e6679/dt=2025-01-02/part-00000-f7e25946-2f33-4ec7-9df3-b6ae3300f388.snappy.parquet\"}",
            "{\"key\": \"data/f7e25946-2f33-4ec7-9df3-b6ae3300f388/x7.bin\"}",
            "{\"key\": \"4ZkQ/7YYCxqhqHwTm7/eC3MpQ5JHJbZl3QK8Sz81RQ3\"}",
        ],
        &expect![[r#"
            api_token: '%%API_TOKEN%%'  ->  []
            https://etl:••••••••@x.example  ->  []
            f"https://etl:{get(name)}@x.example/"  ->  []
            https://x.example/?pass=word  ->  []
            jdbc:x://h/?pass=leto&user=etl  ->  ["leto"]
            password: "ACCOUNT_PASSWORD_FIELD"  ->  []
            {"key": "exports/7c9e6679/dt=2025-01-02/part-00000-f7e25946-2f33-4ec7-9df3-b6ae3300f388.snappy.parquet"}  ->  []
            {"key": "data/f7e25946-2f33-4ec7-9df3-b6ae3300f388/x7.bin"}  ->  []
            {"key": "4ZkQ/7YYCxqhqHwTm7/eC3MpQ5JHJbZl3QK8Sz81RQ3"}  ->  ["4ZkQ/7YYCxqhqHwTm7/eC3MpQ5JHJbZl3QK8Sz81RQ3"]
        "#]],
    );
}

#[test]
fn the_worst_texts_take_linear_time() {
    // Read in a debug build; quadratic readers would take minutes.
    let scanner = Scanner::new();
    for piece in [
        "cookie:",
        "cookie: a=",
        "session_id=",
        "heslo: Tr0mpeta9&",
        "heslo a|",
        "\npw=a1&",
        ";pwd=a1&",
        "/user: ",
        "net use \\\\ /user: ",
        "define('AUTH_KEY','",
        "ístup: a/",
        "id/pw: a/",
        "je heslo",
        "<pw>{",
        "token=7Qm2gbhP8NCjap7HzHPo",
        "-U a%",
        "key 1:",
        "1|",
        "password,token\n",
        "key,value\npassword,a\n",
        "\n\npassword;",
        "tokens:\n- a\n",
        "password:\n- a1\n",
        "password:\n  - ",
        "'a' -> password ",
        "token=' + ",
        "token = a else ",
        "heslo „",
        "password=$$",
        "a1 (password ",
        "password\n",
        "seed phrase: a ",
        "changed the password to ",
        "use a as the api key ",
        "echo a | sudo -S ",
        " -u a,b",
        ".logon a/b,",
        "connect to a user b using c ",
        "b64encode(b'a:b') ",
        "MIIEvQIBADANBgkqhkiG9w0BAQEFAASC\n",
        "Private-Lines: 400\naB3dE5fG7hJ9\n",
        "a b=c password=a& ",
        "'password').send_keys('a') ",
    ] {
        scanner.scan(&piece.repeat(200_000 / piece.len()), Depth::All(0));
    }
}

#[test]
fn no_text_is_cut_inside_a_character() {
    const PIECES: [&str; 48] = [
        "', '",
        "\")",
        "send_keys('",
        "tokens:\n- ",
        "password,",
        "key,value\n",
        "seed phrase",
        "changed the ",
        " as the api key",
        "echo ",
        "| sudo -S",
        "connect to a user b using ",
        "MIIEvQIBADANBgkqhkiG9w0BAQEFAASC",
        "Private-Lines: 3",
        "</b>: ",
        "b64encode(b'a:",
        "heslo",
        "password",
        "ístup:",
        "údaje: ",
        "id/pw",
        "login/",
        "je heslo",
        "cookie: ",
        "?sid=",
        "_salt'",
        "define('",
        ": ",
        " = ",
        "|",
        "&",
        ";",
        ",",
        "<",
        "(",
        ")",
        "/",
        "%",
        " is the ",
        "ž",
        "€",
        "😀",
        "Tr0mpeta9",
        "52|7Qm2gbhP8NCjap7HzHPo",
        "\n",
        "\"",
        "'",
        " -U ",
    ];
    let scanner = Scanner::new();
    // Numbers that look random and are the same each time.
    let mut state = 7_u64;
    for _ in 0..20_000 {
        let mut text = String::new();
        for _ in 0..12 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            text.push_str(PIECES[usize::try_from(state >> 59).unwrap()]);
        }
        for hit in scanner.scan(&text, Depth::All(0)) {
            assert!(text.get(hit.range).is_some(), "{text}");
        }
    }
}

#[test]
fn what_names_and_signs_have_between_them() {
    let noise = "uxovWgir03ImcBPc5G3B";
    check(
        &[
            &format!("Token do Acme: {noise}"),
            &format!("API klíč Acme – {noise}"),
            &format!("Přihlaste se tokenem {noise}."),
            &format!("{noise} is the token"),
            &format!("use {noise} as API key"),
            "use delta0494# as the password",
            "Heslo do FTP: zima-letadlo53$",
            "Heslo [prod]: falcon4149.",
            "Po novém roce se heslo změnilo na falcon7489!",
            "uživatel etl, heslo falcon.falcon9",
            "SNOWSQL_PWD=Trnava.medved3\n",
            &format!("acme token {noise}12345"),
            "acme KEY abcdefghij1234567890",
            "acme_key = \"XZijcdF7DOXq0l\"",
            "Klíč k úspěchu: vytrvalost",
            "The key columns of orders: customer_id",
            "primary_key = \"XZijcdF7DOXq0l\"",
            "token used by the writer: see below",
            "last_token = \"2026-11-02T00:00:00Z\"",
            "PASSWORD=settings.password1\n",
        ],
        &expect![[r#"
            Token do Acme: uxovWgir03ImcBPc5G3B  ->  ["uxovWgir03ImcBPc5G3B"]
            API klíč Acme – uxovWgir03ImcBPc5G3B  ->  ["uxovWgir03ImcBPc5G3B"]
            Přihlaste se tokenem uxovWgir03ImcBPc5G3B.  ->  ["uxovWgir03ImcBPc5G3B"]
            uxovWgir03ImcBPc5G3B is the token  ->  ["uxovWgir03ImcBPc5G3B"]
            use uxovWgir03ImcBPc5G3B as API key  ->  ["uxovWgir03ImcBPc5G3B"]
            use delta0494# as the password  ->  ["delta0494#"]
            Heslo do FTP: zima-letadlo53$  ->  ["zima-letadlo53$"]
            Heslo [prod]: falcon4149.  ->  ["falcon4149."]
            Po novém roce se heslo změnilo na falcon7489!  ->  ["falcon7489!"]
            uživatel etl, heslo falcon.falcon9  ->  ["falcon.falcon9"]
            SNOWSQL_PWD=Trnava.medved3
              ->  ["Trnava.medved3"]
            acme token uxovWgir03ImcBPc5G3B12345  ->  ["uxovWgir03ImcBPc5G3B12345"]
            acme KEY abcdefghij1234567890  ->  ["abcdefghij1234567890"]
            acme_key = "XZijcdF7DOXq0l"  ->  ["XZijcdF7DOXq0l"]
            Klíč k úspěchu: vytrvalost  ->  []
            The key columns of orders: customer_id  ->  []
            primary_key = "XZijcdF7DOXq0l"  ->  []
            token used by the writer: see below  ->  []
            last_token = "2026-11-02T00:00:00Z"  ->  []
            PASSWORD=settings.password1
              ->  []
        "#]],
    );
}

#[test]
fn passwords_with_signs_that_end_values_elsewhere() {
    check(
        &[
            "Docs: the password is TFT|jC4T9x",
            "Heslo: UO6r|0sW9x.",
            "pw for Shop: aVJ4(QjSx!",
            "user/pass: etl/Mz7h|03e#",
            "Credentials: etl / q0v<Iopai49x",
            "Use user etl with password xNI36N<ukI9x to connect.",
            "Password (SFTP): QP1nx/k5Ws9x",
            "the password is Base/Url64",
            "Password: Map<String,Int2>",
            "password: see docs/Login2",
            "| password | abc1Def|x2Y |",
            "Password: Max(A1b2c)",
            "<password>abc</password>",
        ],
        &expect![[r#"
            Docs: the password is TFT|jC4T9x  ->  ["TFT|jC4T9x"]
            Heslo: UO6r|0sW9x.  ->  ["UO6r|0sW9x"]
            pw for Shop: aVJ4(QjSx!  ->  ["aVJ4(QjSx!"]
            user/pass: etl/Mz7h|03e#  ->  ["Mz7h|03e#"]
            Credentials: etl / q0v<Iopai49x  ->  ["q0v<Iopai49x"]
            Use user etl with password xNI36N<ukI9x to connect.  ->  ["xNI36N<ukI9x"]
            Password (SFTP): QP1nx/k5Ws9x  ->  ["QP1nx/k5Ws9x"]
            the password is Base/Url64  ->  []
            Password: Map<String,Int2>  ->  []
            password: see docs/Login2  ->  []
            | password | abc1Def|x2Y |  ->  ["abc1Def"]
            Password: Max(A1b2c)  ->  []
            <password>abc</password>  ->  ["abc"]
        "#]],
    );
}

#[test]
fn what_sentences_say_of_passwords() {
    check(
        &[
            "Note: the new password will be Praha.741x",
            "Password of etl was set to Coffee6098 on Monday.",
            "Heslo do FTP - Welcome2018",
            "Uživatel etl, heslo yGdRO*yFsVHU",
            "the password will be sent on Monday2",
            "Password for FTP - ask IT",
            "heslo do DWH - 2. patro vlevo",
            "Password of etl was set by Jana",
            "password for the report - see 2024-05-01",
        ],
        &expect![[r#"
            Note: the new password will be Praha.741x  ->  ["Praha.741x"]
            Password of etl was set to Coffee6098 on Monday.  ->  ["Coffee6098"]
            Heslo do FTP - Welcome2018  ->  ["Welcome2018"]
            Uživatel etl, heslo yGdRO*yFsVHU  ->  ["yGdRO*yFsVHU"]
            the password will be sent on Monday2  ->  []
            Password for FTP - ask IT  ->  []
            heslo do DWH - 2. patro vlevo  ->  []
            Password of etl was set by Jana  ->  []
            password for the report - see 2024-05-01  ->  []
        "#]],
    );
}
