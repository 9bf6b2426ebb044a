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
            // A key of Adyen: base64, and more behind a dash.
            pattern(
                &["AQE"],
                &[exact(ALNUM, 1), Part::Text("hmf"), run(BASE64.or(DASH), 60, 300)],
            ),
            // The two keys of Rapyd.
            pattern(&["rak_"], &[exact(HEX, 20)]),
            pattern(&["rsk_"], &[exact(HEX, 96)]),
            // The two keys of WooCommerce.
            pattern(&["ck_", "cs_"], &[exact(LOWER_HEX, 40)]),
            pattern(&["creem_"], &[run(ALNUM, 20, 32)]).opaque(),
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
            &[
                "A",
                "QE",
                "fhmflP8lvLNbCevOS1cTnTBmegfPJyxIow-dB3L2IPpwjUlWakcQN0tII365q7Qg",
            ],
            &["ra", "k_", "2Cf1A1b6a298DAa5CD79"],
            &[
                "rs",
                "k_",
                "eFc13B38b7cfd40cfCEA3C7CEeFCB03BF5e46bfE1E2FAB8f3FAC91B11292a43cFc5b608a99057695",
                "FB12c8bB0DbeAc3E",
            ],
            &["c", "k_", "bd93b5cbd52c53a1070e0f8bb1f9e0e5e8f56961"],
            &["cre", "em_", "ikV8xTcvl0uxMS8dE3eo"],
            &[
                "EA",
                "AA",
                "GAiLZA3tKnUNxTajgkFALRBx2wE8-pUXL8NdzKzibrZbyRwxyt8jBcp0",
            ],
            &["acc", "ess-sandbox-", "0aa9c5ac-9c08-27cd-4d8d-defeaece3ee3"],
            &[
                "acc",
                "ess_token$production$",
                "ygkesrwxvvgm6m2r$5fe625c60534883ca762908eb8e69139",
            ],
            &["shi", "ppo_live_", "a95c45706e1b7f8adefd833945bc0c72758a3c6a"],
            &["duf", "fel_test_", "4ue892PQns1WwQKOVtRYC-i3uyQCjDjEeA8jR1jUjWX"],
            &["fio", "-u-", "TR4QaNs1beFfClmTxorh-Q0Gey8NrFXvMKA0Nl1G"],
            &["shl", "tm_", "7QdupzuYOzLPV3Fn5ybX-fjfgEjUg7eJdVj1oR67"],
            &["s", "k_", "3d9aeb88e7f06ac0b9c3f1e125e5ee5749e73460"],
            &["pat", "t_", "129133929b6f4247b0f11fb300630f86a6a25051"],
            &["liv", "e_", "dpgc9DMZTzr06L7QsjMOPBuuDib026"],
            &[
                "liv",
                "e_",
                "dffc123b5c6e91e17cf72be598df49c2c7b558315cf82d52ac444df5187ed060",
            ],
        ],
        no: &[
            &["ck_", "customers"],
            &["metri", "cs_", "bd93b5cbd52c53a1070e0f8bb1f9e0e5e8f56961"],
            &["creem_", "customersordersbyregion"],
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
            // A key for transactional mail of Mailchimp.
            pattern(&["md-"], &[exact(URL64, 22)]).opaque(),
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
            &[
                "xke",
                "ysib-",
                "15025437a1bd5e4043df4797d653aefd5c0779b59ecd93832acb2861adf419b1-lNjzXKUtsiCwH6HJ",
            ],
            &["S", "K0", "96c020827751afb6bea4df3d0a76db8"],
            &["r", "e_", "cfTTwqz9i1jq2nWuq966Rq9U"],
            &["p", "k_", "9afd702d79b2751760cb681a9ea87cf3b1"],
            &["m", "d-", "dxtrroHcOkgEoTMrH6JsPx"],
        ],
        no: &[
            &["md-", "customer-orders-by-yea"],
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
            pattern(&["figd_", "figu_"], &[run(URL64, 30, 60)]),
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
            // Metabase, Hex, Retool and n8n.
            pattern(&["mb_"], &[exact(BASE64, 44)]).opaque(),
            pattern(&["hxtp_", "hxtw_"], &[run(LOWER_HEX, 64, 96)]),
            pattern(&["retool_01"], &[run(LOWER_ALNUM, 22, 28)]).opaque(),
            pattern(&["retool_wk_"], &[exact(LOWER_HEX, 32)]),
            pattern(&["n8n_api_"], &[exact(LOWER_HEX, 80)]),
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
            &["nt", "n_", "AFF44VOjilGFfXbHMh6ufjvTI73ah7p3DznVErBm"],
            &["sec", "ret_", "5Zae19iGUuX17o6qzH7olBOg0VWqkwa11Gg9T4z3ASr"],
            &["ai", "o_", "5mOeEE3VqrQtwrgF79jp974Im5mA"],
            &[
                "tkn",
                ".v1_",
                "HmAdH6qkiaA1PhiFSiuYhMpQidc7OP-bVdDnkhApJPRPbDiNnsORPe3f6DRM",
            ],
            &[
                "na",
                "1.",
                "qhdLcEzhBN0sWxsjVOS5y0bU1FVKlz+7EEhcoLuj6g1xRzO3xninR0twwLbr",
            ],
            &["fig", "d_", "Q6wPgDdhArXnfcE6ZDFubuSOlOQEXx"],
            &["tf", "p_", "FGRUUk3b3P5soDHVWJWM-C2XNl7xRbj8H1ZHFOjC"],
            &["dbt", "c_", "bRxXF9gKMOWFtT21zBnDN54C9i040h"],
            &["pn", "u_", "cNnGTL7b00drokHAs1NwilJ1UQj6tVvs9lHs"],
            &["pat", "Live", "s2UfGzuTR2P6FTOd2Bt5jqWqjA5yTK"],
            &[
                "wrk",
                "eu-",
                "yHVr95pu0gbCZuaN8ritbwnNu7ynCk-sQ24rO21sO9YkYbAcHDcGlHoZJjIS",
            ],
            &["AIK", "_CI_", "7yepQQwjOJ3u0iapkZKLYYke"],
            &["s", "c_", "CGgyH.FdVW.accJNP.gu0zt6pJRR0ttvEQ2Fmu8H0yadCI83"],
            &["cla", "u_", "RO0enC0oyPDFOh83nYjl7o4OgS15WO"],
            &["sm_", "live_", "aJXrN6VnlVAh4MzijuftSaCR"],
            &["sg", "p-", "MfgZcjJqHep36LMeNPiASaKNBwnrgs"],
            &[
                "0",
                "0D",
                "wDhdTXPGSkKu!rEoyw29ZFD1zFNms5xN1d6TDeml6m6-50Q9G6v3Hd21vQwTVSiX9b0Oal8Rx",
            ],
            &[
                "5Ae",
                "p861",
                "k9ISoGtNNAkdF49PKK8Wo6skanxSzF-hQKpKxFnBIOThyIR7DSroMGG0W5Ge",
            ],
            &["m", "b_", "fSv0oZYZrr5X4TJ29BRYyS+PVGQuEW2VZmq186pqH5zu"],
            &[
                "hxt",
                "p_",
                "6a4d835859abe886b942f9b292205f77791bb2ed7dd047d9d314246c30c5acac",
            ],
            &["ret", "ool_01", "txj1tont2g9zdaw1drra16"],
            &[
                "n8n",
                "_api_",
                "158e450b1798b92f802aa31c18090f92cffb1170b8614c3e09f7c71f23e6d50dc8db386acfeb4bd6",
            ],
            &["e2", "b_", "26df04f77993e5c5cfbb63398c965fba2b3d3694"],
            &["FLW", "SECK-", "2i9w2dr7viue"],
            &["ret", "ool_wk_", "f60188fdb97e32a555f5f6e7191b2c00"],
        ],
        no: &[
            &["retool_01", "customersordersbyregion"],
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
            // LinkedIn: a client's secret, and what it gets for it.
            pattern(
                &["WPL_AP0.", "WPL_AP1."],
                &[exact(ALNUM, 16), Part::Text("."), run(BASE64, 6, 16)],
            ),
            pattern(&["AQU", "AQV", "AQW", "AQX"], &[run(URL64, 140, 400)]).opaque(),
            // A token of Twitch, as its chat is given it.
            pattern(&["oauth:"], &[exact(LOWER_ALNUM, 30)]).opaque(),
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
            &[
                "E",
                "AA",
                "Dpwlhlsf50B6gsckvnSSTVvV7OGMjSktcEf8cBX7jhcKyEd1pHpejblcNGgOOtVWf3htUXcpD7p9xYkl",
                "uYLFwJ2G2e",
            ],
            &[
                "I",
                "GQ",
                "CmaG2VsHbiz16vgL5CbZcv2H6GV20rQS05opylGofQsA5-vQX6kKhYzwbR6zGe0a2duGju8z1adH9IWO",
                "nFP9KuhvG3",
            ],
            &[
                "AAA",
                "AAAAAAAAAAAAAAAAAA",
                "0rna0yXd0mJq1DByPG1QB982scVdIVf6U0XHvBjnSlaJjleFcbbYQsPFSTXY",
            ],
            &["oau", "th:", "nilfmx6g286gskn02bqp070b2frsta"],
            &["WPL", "_AP0.", "lnWtFdIMcHvl5Uww.4flOOx"],
            &[
                "A",
                "QU",
                "RPy15l11GVhVuAq9mN5XFKPsnYYSc9S8OgWijY2aafELbWooEBvfAZOeh3BxZdpRmlVYdY-JdLwcQdNd",
                "D0ceRXtQGzBpoawhbMdwX31to97OCqViO0YgNXNf4sclDdHjjMHvZgceqHAi",
            ],
        ],
        no: &[
            &["WPL_AP1.", "secret"],
            &["oauth:", "customersordersbyregionandyear"],
            &["EAA", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"],
        ],
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
