use super::*;
use expect_test::{Expect, expect};

/// Cuts lines `pointer = value` into text leaves; a pointer that begins with `!` makes a scalar, with `?` a
/// member's name. Draws what the findings leave.
#[track_caller]
fn check(kind: Kind, lines: &str, expected: &Expect) {
    let leaves: Vec<Leaf<'_>> = lines
        .trim()
        .lines()
        .map(|line| {
            let (pointer, value) = line.trim().split_once(" = ").unwrap();
            let role = match pointer.as_bytes().first() {
                Some(b'!') => Role::Scalar,
                Some(b'?') => Role::Key,
                _ => Role::Text,
            };
            Leaf {
                pointer: pointer.trim_start_matches(['!', '?', '-']),
                role,
                value,
            }
        })
        .collect();
    let document = Document {
        path: "config.json",
        kind,
        leaves,
    };
    let findings = judge(std::slice::from_ref(&document)).remove(0);
    let mut values: Vec<String> = document.leaves.iter().map(|leaf| leaf.value.to_owned()).collect();
    for finding in findings.iter().rev() {
        let marker = format!("[REDACTED:{}:k7wq2a]", rules::id(finding.rule));
        match finding.target {
            Target::Whole => values[finding.leaf] = marker,
            Target::Bytes { start, end } => values[finding.leaf].replace_range(start..end, &marker),
        }
    }
    let leaves = document
        .leaves
        .iter()
        .zip(&values)
        .map(|(leaf, value)| Leaf { value, ..*leaf })
        .collect();
    let again = Document {
        leaves,
        ..document.clone()
    };
    assert_eq!(
        judge(&[again]),
        [vec![]],
        "judging what is left must find nothing"
    );
    let drawn: Vec<_> = document
        .leaves
        .iter()
        .zip(&values)
        .map(|(leaf, value)| match leaf.pointer {
            "" => format!("text = {value}\n"),
            pointer => format!("{pointer} = {value}\n"),
        })
        .collect();
    expected.assert_eq(&drawn.concat());
}

#[test]
fn under_a_hash_key_all_goes_that_is_not_encrypted() {
    check(
        Kind::Config,
        "
        /parameters/#password = leto
        /parameters/#token = KBC::ProjectSecureKV::eJwBQAG//mRlZjUwMjAwZmY0
        /parameters/#vault = {{ vault.db }}
        /parameters/#mixed = x{{ vault.db }}
        /parameters/#word = password
        /parameters/#template = ${PASSWORD}
        /parameters/#list/0 = a
        ?/parameters/#object/user = user
        /parameters/#object/user = etl
        !/parameters/#pin = 1234
        !/parameters/#flag = true
        /parameters/##twice = b
        /parameters/#followed = KBC::ProjectSecure::eJwBQAG//mRlZjUwMjAwZmY0 leto
        ",
        &expect![[r#"
            /parameters/#password = [REDACTED:keboola-plaintext:k7wq2a]
            /parameters/#token = KBC::ProjectSecureKV::eJwBQAG//mRlZjUwMjAwZmY0
            /parameters/#vault = {{ vault.db }}
            /parameters/#mixed = [REDACTED:keboola-plaintext:k7wq2a]
            /parameters/#word = [REDACTED:keboola-plaintext:k7wq2a]
            /parameters/#template = [REDACTED:keboola-plaintext:k7wq2a]
            /parameters/#list/0 = [REDACTED:keboola-plaintext:k7wq2a]
            /parameters/#object/user = user
            /parameters/#object/user = [REDACTED:keboola-plaintext:k7wq2a]
            /parameters/#pin = [REDACTED:keboola-plaintext:k7wq2a]
            /parameters/#flag = [REDACTED:keboola-plaintext:k7wq2a]
            /parameters/##twice = [REDACTED:keboola-plaintext:k7wq2a]
            /parameters/#followed = [REDACTED:keboola-plaintext:k7wq2a]
        "#]],
    );
}

#[test]
fn members_and_their_siblings_name_a_secret() {
    check(
        Kind::Config,
        "
        /db/password = banan57
        /db/user = etl
        /db/token_url = https://login.acme.example/token
        /variables/0/name = api_token
        /variables/0/value = 7Qm2gbhP8NCjap7HzHPo
        /variables/1/name = start
        /variables/1/value = 8Rn3hcjQ9ODkbq8IaIQp
        /headers/0/key = Authorization
        /headers/0/value = Token 22cb987851bc5659b29114c62e60c79abd0d2c08
        /variables/2/value = krtek77
        /variables/2/name = #heslo
        /checksum = 33dc098962cd6760c30225d73f71d80bce1e3d19
        /uri = postgres://etl:banan32@db.acme.example/dwh
        /nested = {\"client_secret\": \"7Qm2gbhP8NCjap7HzHPo\", \"id\": 1}
        /cipher = KBC::Secure::eJwBQAG//mRlZjUwMjAwZmY0
        ",
        &expect![[r#"
            /db/password = [REDACTED:password:k7wq2a]
            /db/user = etl
            /db/token_url = https://login.acme.example/token
            /variables/0/name = api_token
            /variables/0/value = [REDACTED:keyed-secret:k7wq2a]
            /variables/1/name = start
            /variables/1/value = 8Rn3hcjQ9ODkbq8IaIQp
            /headers/0/key = Authorization
            /headers/0/value = Token [REDACTED:keyed-secret:k7wq2a]
            /variables/2/value = [REDACTED:keboola-plaintext:k7wq2a]
            /variables/2/name = #heslo
            /checksum = 33dc098962cd6760c30225d73f71d80bce1e3d19
            /uri = postgres://etl:[REDACTED:url-password:k7wq2a]@db.acme.example/dwh
            /nested = {"client_secret": "[REDACTED:keyed-secret:k7wq2a]", "id": 1}
            /cipher = KBC::Secure::eJwBQAG//mRlZjUwMjAwZmY0
        "#]],
    );
}

#[test]
fn objects_and_lists_name_what_is_in_them() {
    check(
        Kind::Config,
        "
        /passwords/production = Xk7vR2mpQz
        /password/type = Yk8wS3nqRa
        /credentials/acme = 7c9e6679f4254a0c8b1de07a55c3f912
        /credentials/id = 8d0f7780a5365b1d9c2ef18b66d40a23
        /places/paris = 9e1a8891b6476c2e0d3fa29c77e51b34
        /args/0 = --password
        /args/1 = kopretina
        /args/2 = --verbose
        /headers/0/0 = X-Api-Key
        /headers/0/1 = 7c9e6679f4254a0c8b1de07a55c3f912
        /required/0 = #password
        /required/1 = #api_token
        /pw = Xk7vR2mpQz
        /taxjar = af2b9902c758d73f1e40b3ad88f62c45
        /taxjar_list = b03caa13d869e84a2f51c4be990730d6
        /keys/0/name = TaxJar
        /keys/0/value = c14dbb24-e97a-f95b-3062-d5cfaa1841e7
        ",
        &expect![[r#"
            /passwords/production = [REDACTED:password:k7wq2a]
            /password/type = Yk8wS3nqRa
            /credentials/acme = [REDACTED:keyed-secret:k7wq2a]
            /credentials/id = 8d0f7780a5365b1d9c2ef18b66d40a23
            /places/paris = [REDACTED:keyed-secret:k7wq2a]
            /args/0 = --password
            /args/1 = [REDACTED:password:k7wq2a]
            /args/2 = --verbose
            /headers/0/0 = X-Api-Key
            /headers/0/1 = [REDACTED:keyed-secret:k7wq2a]
            /required/0 = #password
            /required/1 = #api_token
            /pw = [REDACTED:password:k7wq2a]
            /taxjar = [REDACTED:keyed-secret:k7wq2a]
            /taxjar_list = b03caa13d869e84a2f51c4be990730d6
            /keys/0/name = TaxJar
            /keys/0/value = [REDACTED:keyed-secret:k7wq2a]
        "#]],
    );
}

#[test]
fn noise_goes_where_no_name_says_what_it_is() {
    let members = "
        /parameters/custom = 8a1052feaeba8e4ede17bea09d566be3f6fd6347393d1af8191e5fe42c4a9674
        /parameters/service = acme
        /parameters/value = uxovWgir03ImcBPc5G3B
        /parameters/spreadsheetId = 1BxiMVs0XRA5nFMdKvBdBZjgmUUqptlbs74OgvE2upms
        /parameters/md5 = 4e9df286cbd826fe3d98407c5385c740
        /parameters/cacheKey = 9e1a8891b6476c2e0d3fa29c77e51b34
        /parameters/table = in.c-keboola-ex-db-snowflake-1234567890.orders
        /variables/0/name = fileId
        /variables/0/value = 1BxiMVs0XRA5nFMdKvBdBZjgmUUqptlbs74OgvE2upms
        /rows/0 = 9e1a8891b6476c2e0d3fa29c77e51b34
        /headers/0/headerName = X-Api-Key
        /headers/0/headerValue = Yk8wS3nqRa
        ";
    check(
        Kind::Config,
        members,
        &expect![[r#"
            /parameters/custom = [REDACTED:keyed-secret:k7wq2a]
            /parameters/service = acme
            /parameters/value = [REDACTED:keyed-secret:k7wq2a]
            /parameters/spreadsheetId = 1BxiMVs0XRA5nFMdKvBdBZjgmUUqptlbs74OgvE2upms
            /parameters/md5 = 4e9df286cbd826fe3d98407c5385c740
            /parameters/cacheKey = 9e1a8891b6476c2e0d3fa29c77e51b34
            /parameters/table = in.c-keboola-ex-db-snowflake-1234567890.orders
            /variables/0/name = fileId
            /variables/0/value = 1BxiMVs0XRA5nFMdKvBdBZjgmUUqptlbs74OgvE2upms
            /rows/0 = 9e1a8891b6476c2e0d3fa29c77e51b34
            /headers/0/headerName = X-Api-Key
            /headers/0/headerValue = [REDACTED:keyed-secret:k7wq2a]
        "#]],
    );
    // The product's own files have digests and versions.
    check(
        Kind::Extra,
        members,
        &expect![[r#"
        /parameters/custom = 8a1052feaeba8e4ede17bea09d566be3f6fd6347393d1af8191e5fe42c4a9674
        /parameters/service = acme
        /parameters/value = uxovWgir03ImcBPc5G3B
        /parameters/spreadsheetId = 1BxiMVs0XRA5nFMdKvBdBZjgmUUqptlbs74OgvE2upms
        /parameters/md5 = 4e9df286cbd826fe3d98407c5385c740
        /parameters/cacheKey = 9e1a8891b6476c2e0d3fa29c77e51b34
        /parameters/table = in.c-keboola-ex-db-snowflake-1234567890.orders
        /variables/0/name = fileId
        /variables/0/value = 1BxiMVs0XRA5nFMdKvBdBZjgmUUqptlbs74OgvE2upms
        /rows/0 = 9e1a8891b6476c2e0d3fa29c77e51b34
        /headers/0/headerName = X-Api-Key
        /headers/0/headerValue = [REDACTED:keyed-secret:k7wq2a]
    "#]],
    );
}

#[test]
fn what_goes_once_goes_wherever_it_is() {
    check(
        Kind::Config,
        "
        /note = use Xk7vR2mpQz, not Xk7vR2mpQzz; again (Xk7vR2mpQz)
        /#password = Xk7vR2mpQz
        ?/Xk7vR2mpQz = Xk7vR2mpQz
        /url = https://x.example/Xk7vR2mpQz/y?password=Xk7vR2mpQz
        /db/password = orders
        /table = in.c-main.orders
        /code/password = summer
        /code/text = summer
        /cipher = KBC::ProjectSecure::eJwBQAG//Xk7vR2mpQz//mRlZjUwMjAwZmY0
        ",
        &expect![[r#"
            /note = use [REDACTED:keboola-plaintext:k7wq2a], not Xk7vR2mpQzz; again ([REDACTED:keboola-plaintext:k7wq2a])
            /#password = [REDACTED:keboola-plaintext:k7wq2a]
            /Xk7vR2mpQz = [REDACTED:keboola-plaintext:k7wq2a]
            /url = https://x.example/[REDACTED:keboola-plaintext:k7wq2a]/y?password=[REDACTED:password:k7wq2a]
            /db/password = [REDACTED:password:k7wq2a]
            /table = in.c-main.orders
            /code/password = [REDACTED:password:k7wq2a]
            /code/text = summer
            /cipher = KBC::ProjectSecure::eJwBQAG//Xk7vR2mpQz//mRlZjUwMjAwZmY0
        "#]],
    );
}

#[test]
fn the_rule_in_a_marker_names_nothing() {
    check(
        Kind::Sample,
        "
        /0/0 = heslo: krtek77
        /1/0 = leto2024
        ",
        &expect![[r#"
            /0/0 = heslo: [REDACTED:password:k7wq2a]
            /1/0 = leto2024
        "#]],
    );
}

#[test]
fn the_header_of_a_sample_names_its_cells() {
    check(
        Kind::Sample,
        "
        /0/0 = id
        /0/1 = password
        /0/2 = customer_key
        /0/3 = note
        /1/0 = 1
        /1/1 = leto2024
        /1/2 = 22cb987851bc5659b29114c62e60c79a
        /1/3 = the password is krtek77
        /2/0 = 2
        /2/1 = zima
        ",
        &expect![[r#"
            /0/0 = id
            /0/1 = password
            /0/2 = customer_key
            /0/3 = note
            /1/0 = 1
            /1/1 = [REDACTED:password:k7wq2a]
            /1/2 = 22cb987851bc5659b29114c62e60c79a
            /1/3 = the password is [REDACTED:password:k7wq2a]
            /2/0 = 2
            /2/1 = [REDACTED:password:k7wq2a]
        "#]],
    );
}

#[test]
fn a_row_of_a_table_of_settings_names_its_value() {
    check(
        Kind::Sample,
        "
        /0/0 = id
        /0/1 = KEY
        /0/2 = PARAMETER_VALUE
        /0/3 = note
        /1/0 = 1
        /1/1 = #token
        /1/2 = leto
        /1/3 = leto
        /2/0 = 2
        /2/1 = db_password
        /2/2 = zima2024x
        /2/3 = in use
        /3/0 = 3
        /3/1 = #token
        /3/2 = KBC::ProjectSecureKV::eJwBQAG//mRlZjUwMjAwZmY0
        /3/3 = #token
        /4/0 = 4
        /4/1 = start
        /4/2 = 2024-01-01
        /4/3 = podzim
        ",
        &expect![[r#"
            /0/0 = id
            /0/1 = KEY
            /0/2 = PARAMETER_VALUE
            /0/3 = note
            /1/0 = 1
            /1/1 = #token
            /1/2 = [REDACTED:keboola-plaintext:k7wq2a]
            /1/3 = leto
            /2/0 = 2
            /2/1 = db_password
            /2/2 = [REDACTED:password:k7wq2a]
            /2/3 = in use
            /3/0 = 3
            /3/1 = #token
            /3/2 = KBC::ProjectSecureKV::eJwBQAG//mRlZjUwMjAwZmY0
            /3/3 = #token
            /4/0 = 4
            /4/1 = start
            /4/2 = 2024-01-01
            /4/3 = podzim
        "#]],
    );
}

#[test]
fn texts_are_searched_and_encoded_ones_once() {
    check(
        Kind::Code,
        "
        - = session.auth = ('etl', 'u-a3n@KuidmX54')
        - = https://x.example/cb?next=https%3A%2F%2Fetl%3Abanan32%40db.acme.example%2Fdwh
        - = eyJwYXNzd29yZCI6ICJiYW5hbjU3In0=
        - = eyJjaGFuZ2VEZXNjcmlwdGlvbiI6ICJVcGRhdGUifQ==
        ",
        &expect![[r#"
            text = session.auth = ('etl', '[REDACTED:password:k7wq2a]')
            text = https://x.example/cb?next=https%3A%2F%2Fetl%3A[REDACTED:url-password:k7wq2a]%40db.acme.example%2Fdwh
            text = [REDACTED:encoded-secret:k7wq2a]
            text = eyJjaGFuZ2VEZXNjcmlwdGlvbiI6ICJVcGRhdGUifQ==
        "#]],
    );
}

#[test]
fn names_of_members_are_searched_for_known_forms_only() {
    let token = ["sq0", "atp-aB3dE5fG7hJ9kL2mN4pQ6r"].concat();
    let leaf = |value| Leaf {
        pointer: "/x",
        role: Role::Key,
        value,
    };
    let document = Document {
        path: "",
        kind: Kind::Config,
        leaves: vec![leaf(&token), leaf("password=leto2024")],
    };
    let findings = judge(&[document]).remove(0);
    assert_eq!(
        findings.iter().map(|finding| finding.leaf).collect::<Vec<_>>(),
        [0]
    );
}

#[test]
fn a_storage_token_goes_wherever_it_is() {
    let token = ["1234", "56789", "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8s9T0"].join("-");
    let text = format!("Client('https://connection.keboola.com', '{token}')");
    let leaves = vec![Leaf {
        pointer: "",
        role: Role::Text,
        value: &text,
    }];
    let findings = judge(&[Document {
        path: "",
        kind: Kind::Code,
        leaves,
    }])
    .remove(0);
    let start = text.find("1234").unwrap();
    let target = Target::Bytes {
        start,
        end: start + token.len(),
    };
    assert_eq!(
        findings,
        [Finding {
            leaf: 0,
            target,
            rule: rules::STORAGE_TOKEN
        }]
    );
}

#[test]
fn exceptions_are_for_their_rule_and_path_only() {
    let settings = Settings::parse(r#"{"allow": [{"rule": "password", "path": "configs/*"}]}"#).unwrap();
    let engine = Engine::new(settings);
    let judge = |path| {
        let leaf = |pointer| Leaf {
            pointer,
            role: Role::Text,
            value: "banan57",
        };
        let document = Document {
            path,
            kind: Kind::Config,
            leaves: vec![leaf("/password"), leaf("/#password")],
        };
        engine
            .judge(&document)
            .iter()
            .map(|finding| finding.leaf)
            .collect::<Vec<_>>()
    };
    assert_eq!(judge("configs/main/config.json"), [1]);
    assert_eq!(judge("storage/x.json"), [0, 1]);
}

#[test]
fn the_worst_texts_take_linear_time() {
    // Judged in a debug build; quadratic readers would take minutes.
    for piece in [
        "key:",
        "key='",
        "\"#",
        "-----BEGIN PRIVATE KEY-----!",
        "eyJhbGciOiJIUzI1NiJ9.",
        "://a:",
        "%3d",
        "[REDACTED:",
        "password for ",
        "1-1-",
    ] {
        let text = piece.repeat(100_000 / piece.len());
        let leaves = vec![Leaf {
            pointer: "",
            role: Role::Text,
            value: &text,
        }];
        let findings = judge(&[Document {
            path: "",
            kind: Kind::Code,
            leaves,
        }]);
        assert_eq!(findings.len(), 1);
    }
}

#[test]
fn what_describes_a_hash_key_in_a_schema_is_judged_as_text() {
    check(
        Kind::Config,
        "
        /schema/properties/#password/type = string
        /schema/properties/#password/title = Password
        /schema/properties/#password/description = Your password
        /schema/properties/#password/format = password
        /schema/properties/#password/options/tooltip = Heslo k API, viz dokumentace
        /schema/properties/#token/type = string
        /schema/properties/#token/title = API token (v2)
        /schema/properties/#token/description = Ask <a href=\"https://docs.acme.example/oauth2\">here</a>
        /parameters/properties/#password/type = string
        /parameters/properties/#password/title = Winter2024!real
        /parameters/properties/#password/description = The password is Winter2024!real, as before.
        /parameters/properties/#password/options/note = aB3dE5fG7hJ9kL2mN4pQ6rS8tU0v
        /parameters/properties/#password/default = Password
        ",
        &expect![[r#"
            /schema/properties/#password/type = string
            /schema/properties/#password/title = Password
            /schema/properties/#password/description = Your password
            /schema/properties/#password/format = password
            /schema/properties/#password/options/tooltip = Heslo k API, viz dokumentace
            /schema/properties/#token/type = string
            /schema/properties/#token/title = API token (v2)
            /schema/properties/#token/description = Ask <a href="https://docs.acme.example/oauth2">here</a>
            /parameters/properties/#password/type = string
            /parameters/properties/#password/title = [REDACTED:keboola-plaintext:k7wq2a]
            /parameters/properties/#password/description = The password is [REDACTED:password:k7wq2a], as before.
            /parameters/properties/#password/options/note = [REDACTED:keboola-plaintext:k7wq2a]
            /parameters/properties/#password/default = [REDACTED:keboola-plaintext:k7wq2a]
        "#]],
    );
}

#[test]
fn ids_of_objects_and_digests_of_packages_stay() {
    check(
        Kind::Config,
        "
        /event/invoice = in_1NaB3dE5fG7hJ9kL2mN4pQ6r
        /event/sub = sub_1NaB3dE5fG7hJ9kL2mN4pQ6r
        /event/pm = pm_1NaB3dE5fG7hJ9kL2mN4pQ6r
        /event/stripe = acct_1NaB3dE5fG7hJ9kL
        /event/note = UPDATE t SET invoice = 'in_1NaB3dE5fG7hJ9kL2mN4pQ6r';
        /event/password = in_1MbC4eF6gH8jK0lM3nP5qR7s
        /event/custom = xy_1NaB3dE5fG7hJ9kL2mN4pQ6r
        /packages/node_modules~1jsonwebtoken/integrity = sha1-aB3dE5fG7hJ9kL2mN4pQ6rS8tU0=
        /packages/node_modules~1jsonwebtoken/custom = bC4eF6gH8jK0lM3nP5qR7sT9uV1=
        ",
        &expect![[r#"
            /event/invoice = in_1NaB3dE5fG7hJ9kL2mN4pQ6r
            /event/sub = sub_1NaB3dE5fG7hJ9kL2mN4pQ6r
            /event/pm = pm_1NaB3dE5fG7hJ9kL2mN4pQ6r
            /event/stripe = acct_1NaB3dE5fG7hJ9kL
            /event/note = UPDATE t SET invoice = 'in_1NaB3dE5fG7hJ9kL2mN4pQ6r';
            /event/password = [REDACTED:password:k7wq2a]
            /event/custom = [REDACTED:keyed-secret:k7wq2a]
            /packages/node_modules~1jsonwebtoken/integrity = sha1-aB3dE5fG7hJ9kL2mN4pQ6rS8tU0=
            /packages/node_modules~1jsonwebtoken/custom = [REDACTED:keyed-secret:k7wq2a]
        "#]],
    );
}

#[test]
fn settings_have_their_value_beside_their_name_and_services_ids_as_keys() {
    check(
        Kind::Config,
        "
        /settings/0/name = db_password
        /settings/0/setting_value = Brno-9438
        /settings/1/name = db_host
        /settings/1/setting_value = db.acme.example
        /options/0/key = password_length
        /options/0/config_value = 12
        /connection/component = hubspot
        /connection/api = 02a5b9f5-09a5-4c71-85ab-72e65efdb2cf
        /connection/apiVersion = 1ddc6d03-6e3e-447e-b07c-01256e1aa4a6
        /tables/0/hash_key = 2e792c71-037b-436e-a13c-6b1304bbfa3b
        /tables/0/s3_key = dc5ba94cd5b4dd134fc00350d8474444
        /tables/0/encryption_key = 2545c16f514adde85ca97d5ca7aba1d0
    ",
        &expect![[r#"
            /settings/0/name = db_password
            /settings/0/setting_value = [REDACTED:password:k7wq2a]
            /settings/1/name = db_host
            /settings/1/setting_value = db.acme.example
            /options/0/key = password_length
            /options/0/config_value = 12
            /connection/component = hubspot
            /connection/api = [REDACTED:keyed-secret:k7wq2a]
            /connection/apiVersion = 1ddc6d03-6e3e-447e-b07c-01256e1aa4a6
            /tables/0/hash_key = 2e792c71-037b-436e-a13c-6b1304bbfa3b
            /tables/0/s3_key = dc5ba94cd5b4dd134fc00350d8474444
            /tables/0/encryption_key = [REDACTED:keyed-secret:k7wq2a]
        "#]],
    );
}

#[test]
fn notes_tell_passwords_behind_users() {
    check(
        Kind::Description,
        "
        - = Login: etl / Zima2031; credentials for the warehouse: etl/Ry.ba1611! and přístup do FTP: etl / Y4XjX#JGUh03
    ",
        &expect![[r#"
            text = Login: etl / [REDACTED:password:k7wq2a]; credentials for the warehouse: [REDACTED:keyed-secret:k7wq2a] and přístup do FTP: etl / [REDACTED:password:k7wq2a]
        "#]],
    );
}
