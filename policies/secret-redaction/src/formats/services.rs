//! Tokens of chat, mail, payment, shop and office services.

use super::{Format, Part, exact, marked, pattern, run};
use crate::alphabet::{
    ALNUM, BASE64, DASH, DIGIT, DOT, HEX, LOWER_ALNUM, LOWER_HEX, PLUS_SLASH, UPPER_ALNUM, URL64,
    URL64_PADDED, WORD,
};

pub(super) const FORMATS: &[Format] = &[
    Format {
        id: "slack-token",
        title: "Slack token",
        patterns: &[pattern(
            &[
                "xoxb-", "xoxp-", "xoxa-", "xoxr-", "xoxs-", "xoxo-", "xoxc-", "xoxd-", "xoxe-", "xoxe.",
                "xapp-", "xwfp-",
            ],
            &[run(URL64.or(DOT), 20, 400)],
        )
        .glued()],
        yes: &[&["xo", "xb-", "123456789012-1234567890123-aB3dE5fG7hJ9kL2mN4pQ6rS8"]],
        no: &[&["xo", "xb-", "000"]],
    },
    Format {
        id: "stripe-key",
        title: "Stripe key",
        patterns: &[
            pattern(
                &["sk_live_", "sk_test_", "rk_live_", "rk_test_", "sk_prod_"],
                &[run(ALNUM, 16, 250)],
            )
            .glued_to_noise(),
            pattern(&["whsec_"], &[run(BASE64, 24, 100)]).glued(),
        ],
        yes: &[
            &["sk", "_live_", "aB3dE5fG7hJ9kL2mN4pQ6rS8"],
            &["wh", "sec_", "aB3dE5fG7hJ9kL2mN4pQ6rS8tU0vWx1Y"],
        ],
        no: &[
            &["sk_live_", "xxxxxxxxxxxxxxxxxxxxxxxx"],
            &["ta", "sk_live_", "customersordersbyregion"],
            &["di", "sk_test_", "configuration2024"],
            &["ta", "sk_test_", "0123456789abcdef0123456789abcdef"],
            &["pk_live_", "aB3dE5fG7hJ9kL2mN4pQ6rS8"],
        ],
    },
    Format {
        id: "payment-key",
        title: "Key of a payment service",
        patterns: &[
            pattern(&["sq0atp-", "sq0csp-", "sq0idp-"], &[run(URL64, 22, 60)]),
            pattern(&["EAAA"], &[run(URL64.or(BASE64), 56, 62)]).opaque(),
            pattern(
                &["access-sandbox-", "access-development-", "access-production-"],
                &[run(HEX.or(DASH), 36, 36)],
            ),
            pattern(
                &["access_token$production$", "access_token$sandbox$"],
                &[run(LOWER_ALNUM, 16, 16), Part::Text("$"), exact(LOWER_HEX, 32)],
            ),
            pattern(&["shippo_live_", "shippo_test_"], &[exact(LOWER_HEX, 40)]),
            pattern(&["EZAK", "EZTK"], &[exact(ALNUM, 54)]),
            pattern(&["duffel_test_", "duffel_live_"], &[run(URL64_PADDED, 43, 43)]),
            pattern(&["fio-u-"], &[run(URL64_PADDED, 40, 64)]),
            pattern(&["shltm_"], &[run(URL64, 40, 40)]),
            pattern(&["sk_"], &[run(LOWER_HEX, 40, 48)]),
            pattern(&["patt_", "pk_live_"], &[run(LOWER_HEX, 40, 48)]),
            pattern(&["live_", "test_"], &[run(ALNUM, 30, 40)]).opaque(),
            pattern(&["live_", "sandbox_"], &[exact(URL64, 40)]).opaque(),
            pattern(&["live_", "test_"], &[exact(LOWER_HEX, 64)]),
            pattern(
                &["APP_USR-", "TEST-"],
                &[
                    run(DIGIT, 14, 18),
                    Part::Text("-"),
                    exact(DIGIT, 6),
                    Part::Text("-"),
                    exact(LOWER_HEX, 32),
                    Part::Text("-"),
                    run(DIGIT, 5, 12),
                ],
            ),
        ],
        yes: &[
            &["sq0", "atp-", "aB3dE5fG7hJ9kL2mN4pQ6r"],
            &[
                "EZ",
                "AK",
                "aB3dE5fG7hJ9kL2mN4pQ6rS8tU0vWx1Yz5AbC3dE5fG7hJ9kL2mN4p",
            ],
            &["live", "_", "aB3dE5fG7hJ_kL2mN4pQ6rS-tU0vWx1Yz5AbC3dE"],
            &[
                "APP_",
                "USR-",
                "1234567890123456-010203-0123456789abcdef0123456789abcdef-123456789",
            ],
        ],
        no: &[
            &["live_", "customer_orders_by_region_and_country"],
            &["live_", "customer_orders_by_region_and_country_24"],
            &["APP_USR-", "01234567-89ab-cdef-0123-456789abcdef"],
            &["test_", "configurationofthecustomersorders"],
        ],
    },
    Format {
        id: "shopify-token",
        title: "Shopify token",
        patterns: &[pattern(
            &["shpat_", "shpss_", "shpca_", "shppa_", "shptka_"],
            &[exact(HEX, 32)],
        )
        .glued()],
        yes: &[&["sh", "pat_", "0123456789abcdef0123456789abcdef"]],
        no: &[&["sh", "pat_", "0123456789"]],
    },
    Format {
        id: "mail-service-key",
        title: "Key of a mail or message service",
        patterns: &[
            pattern(
                &["SG."],
                &[run(URL64, 16, 32), Part::Text("."), run(URL64, 32, 64)],
            )
            .glued(),
            pattern(
                &["xkeysib-"],
                &[exact(LOWER_HEX, 64), Part::Text("-"), run(ALNUM, 16, 16)],
            ),
            pattern(&["key-"], &[exact(LOWER_HEX, 32)]),
            pattern(
                &[
                    "SK0", "SK1", "SK2", "SK3", "SK4", "SK5", "SK6", "SK7", "SK8", "SK9", "SKa", "SKb",
                    "SKc", "SKd", "SKe", "SKf",
                ],
                &[exact(LOWER_HEX, 31)],
            ),
            pattern(&["re_"], &[run(WORD, 24, 40)]).opaque(),
            pattern(&["pk_"], &[exact(LOWER_HEX, 34)]),
            pattern(&["pk_prod_"], &[exact(UPPER_ALNUM, 28)]),
            pattern(&["mlsn."], &[exact(LOWER_HEX, 64)]),
        ],
        yes: &[
            &[
                "S",
                "G.",
                "dbawh5BrTlKPwEEKEUF5jA.Wa9EAZnn0zvgcM7UgEYCf9954qWIKpmXil6X5RL2KjQ",
            ],
            &["key", "-", "0123456789abcdef0123456789abcdef"],
            &[
                "mls",
                "n.",
                "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
            ],
            &["pk_", "prod_", "AB3DE5FG7HJ9KL2MN4PQ6RS8TU0V"],
        ],
        no: &[
            &["SG.", "local.tables"],
            &[
                "M",
                "SG.",
                "customer_orders_by_region.orders_by_region_and_by_country_of_delivery",
            ],
        ],
    },
    Format {
        id: "office-service-token",
        title: "Token of an office or marketing service",
        patterns: &[
            pattern(
                &["pat-na1-", "pat-na2-", "pat-eu1-", "pat-ap1-"],
                &[run(HEX.or(DASH), 36, 36)],
            ),
            pattern(&["ntn_"], &[run(ALNUM, 40, 50)]),
            pattern(&["secret_"], &[exact(ALNUM, 43)]).opaque(),
            pattern(&["lin_api_", "lin_oauth_"], &[run(ALNUM, 40, 64)]).glued(),
            pattern(&["aio_"], &[exact(ALNUM, 28)]),
            pattern(&["tkn.v1_"], &[run(URL64_PADDED, 60, 100)]),
            pattern(&["na1."], &[run(BASE64, 60, 200)]).opaque(),
            pattern(&["figd_"], &[run(URL64, 30, 60)]),
            pattern(&["tfp_"], &[run(URL64.or(DOT), 40, 70)]),
            pattern(&["sl.", "sl.u."], &[run(URL64, 77, 2000)]),
            pattern(&["p8e-"], &[exact(URL64, 32)]).opaque(),
            pattern(
                &[
                    "api_live.",
                    "api_live_us.",
                    "api_live_ca.",
                    "api_live_eu.",
                    "api_sandbox.",
                    "api_sandbox_us.",
                    "api_sandbox_ca.",
                    "api_sandbox_eu.",
                ],
                &[run(URL64.or(DOT), 30, 80)],
            )
            .opaque(),
            pattern(&["dbtc_", "dbts_", "dbtu_"], &[run(URL64_PADDED, 30, 60)]),
            pattern(&["pnu_", "pnb_"], &[run(ALNUM, 36, 36)]),
            pattern(&["patLive"], &[run(ALNUM, 30, 60)]).opaque(),
            pattern(
                &[
                    "wrkeu-",
                    "wrkaeu-",
                    "wrkus-",
                    "wrkaus-",
                    "wrkatrial-",
                    "wrktrial-",
                ],
                &[run(URL64.or(DOT), 60, 1000)],
            ),
            pattern(&["AIK_CI_", "AIK_SECRET_", "AIK_"], &[run(WORD, 24, 100)]),
            pattern(
                &["sc_", "ext_", "scauth_", "authress_"],
                &[
                    run(ALNUM, 5, 40),
                    Part::Text("."),
                    run(ALNUM, 4, 6),
                    Part::Text(".acc"),
                    run(URL64, 3, 40),
                    Part::Text("."),
                    run(BASE64.or(URL64), 30, 200),
                ],
            ),
            pattern(&["clau_", "dnkey-", "kgi_", "KG_"], &[run(WORD, 30, 80)]).opaque(),
            pattern(&["sm_live_", "sm_test_", "sm_api_"], &[run(WORD, 24, 80)]),
            pattern(&["sgp-", "rzp_"], &[run(URL64, 30, 60)]).opaque(),
            pattern(&["rzp_live_", "rzp_test_"], &[exact(ALNUM, 14)]).opaque(),
            pattern(&["lip_"], &[exact(ALNUM, 20)]).opaque(),
            pattern(
                &["pk_"],
                &[run(DIGIT, 5, 12), Part::Text("_"), run(ALNUM, 30, 34)],
            ),
            pattern(
                &["00D"],
                &[run(ALNUM, 12, 15), Part::Text("!"), run(URL64.or(DOT), 60, 130)],
            ),
            pattern(&["5Aep861"], &[run(URL64.or(DOT), 60, 100)]),
            pattern(&["e2b_"], &[exact(LOWER_HEX, 40)]),
            pattern(&["FLWSECK-", "FLWSECK_TEST-"], &[run(LOWER_ALNUM, 12, 40)]),
            // Base64 of `tok:`.
            pattern(&["dG9rO"], &[run(ALNUM.or(PLUS_SLASH), 40, 90), Part::Text("=")]),
        ],
        yes: &[
            &["pat", "-na1-", "01234567-89ab-cdef-0123-456789abcdef"],
            &["lin", "_api_", "aB3dE5fG7hJ9kL2mN4pQ6rS8tU0vWx1Yz5AbC3dE"],
            &["pk", "_", "204249739_138RCYNYCVO0GRJ8INODHFRMXN0QSV75"],
            &["rz", "p_live_", "aB3dE5fG7hJ9kL"],
            &["li", "p_", "aB3dE5fG7hJ9kL2mN4pQ"],
            &["p8", "e-", "aB3dE5fG7hJ9-L2mN4pQ6rS8tU0vWx1Y"],
            &[
                "dG",
                "9rO",
                "aB3dE5fG7hJ9kL2mN4pQ6rS8tU0vWx1Yz5AbC3dE5fG7hJ9kL2mN4pQ6==",
            ],
            &["api", "_live.", "aB3dE5fG7hJ.kL2mN4pQ6rS8tU0vWx1Yz5AbC3dE5fG7"],
            &[
                "sl",
                ".u.",
                "aB3dE5fG7hJ9-L2mN4pQ6rS8tU0vWx1YaB3dE5fG7hJ9-L2mN4pQ6rS8tU0vWx1YaB3dE5fG7hJ9-L",
            ],
        ],
        no: &[
            &["secret_", "configurationofthecustomersordersbyregionsa"],
            &["api_live.", "customer_orders.by_region_and_country"],
        ],
    },
    Format {
        id: "social-token",
        title: "Token of a social network",
        patterns: &[
            pattern(&["EAA"], &[run(ALNUM, 90, 400)]).opaque(),
            pattern(&["IGQ"], &[run(URL64, 90, 400)]).opaque(),
            // A channel's token of LINE: all end in the same.
            marked(
                &["dB04t89/1O/w1cDnyilFU="],
                1,
                &[exact(ALNUM.or(PLUS_SLASH), 150)],
            ),
            pattern(
                &["AAAAAAAAAAAAAAAAAAAAA"],
                &[run(ALNUM.or(crate::alphabet::PERCENT), 60, 150)],
            ),
            pattern(
                &["live_"],
                &[run(DIGIT, 6, 12), Part::Text("_"), exact(ALNUM, 30)],
            ),
        ],
        yes: &[
            &["li", "ve_", "126031192_tiX3sbwIzL9VmkecdxioBMA1LJ9S4m"],
            &[
                "aB3dE5fG7hJ9kL2mN4pQ6rS8tU0vWx1Yz5AbC3dE+/aB3dE5fG7hJ9kL2mN4pQ6rS8tU0vWx1Yz",
                "5AbC3dE+/aB3dE5fG7hJ9kL2mN4pQ6rS8tU0vWx1Yz5AbC3dE+/aB3dE5fG7hJ9kL2mN4pQ6rS8",
                "dB04t89/1O/w1cDnyilFU=",
            ],
        ],
        no: &[&["EAA", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"]],
    },
    Format {
        id: "wallet-key",
        title: "Private key of a wallet or an identity",
        patterns: &[
            // BIP 32.
            pattern(&["xprv9"], &[run(ALNUM, 98, 108)]).opaque(),
            // NIP-19 of Nostr.
            pattern(&["nsec1"], &[exact(LOWER_ALNUM, 58)]),
        ],
        yes: &[
            &[
                "xp",
                "rv9",
                "s21ZrQH143K3QTDL4LXw2F7HEK3wJUD2nW2nRk4stbPy6cq3jPPqjiChkVvvNKmPGJxWUtg6LnF5kejMRNNU3TGtRBeJgk33yuGBxrMPHi",
            ],
            &[
                "ns",
                "ec1",
                "rn8yzkwze8a7a04qj9ygjm5y2tzajpmqnvu0u0742htrekml37shsjaj9t",
            ],
        ],
        no: &[&[
            "nsec1",
            "0000000000000000000000000000000000000000000000000000000000",
        ]],
    },
];
