//! Credentials of clouds, databases and AI services.

use super::{Format, Part, exact, marked, pattern, run};
use crate::alphabet::{
    ALNUM, Alphabet, BASE64, DASH, DOT, HEX, LOWER_ALNUM, LOWER_HEX, PERCENT, PLUS_SLASH, UPPER, UPPER_ALNUM,
    URL64, URL64_PADDED, WORD,
};

/// Base64 without its padding.
const SIXTY_FOUR: Alphabet = ALNUM.or(PLUS_SLASH);

pub(super) const FORMATS: &[Format] = &[
    Format {
        id: "aws-access-key",
        title: "AWS access key",
        patterns: &[
            pattern(&["AKIA", "ASIA", "ABIA", "ACCA"], &[exact(UPPER_ALNUM, 16)]).glued(),
            pattern(&["A3T"], &[exact(UPPER_ALNUM, 17)]).opaque(),
            pattern(&["ABSK"], &[run(BASE64, 100, 300)]),
            pattern(&["bedrock-api-key-"], &[run(BASE64.or(URL64), 40, 2000)]),
            pattern(&["amzn.mws."], &[run(HEX.or(DASH), 36, 36)]),
            // A key of AppSync.
            pattern(&["da2-"], &[exact(LOWER_ALNUM, 26)]).opaque(),
        ],
        yes: &[
            &["AK", "IA", "QYLPMN5HHHFPZAM2"],
            &["AS", "IA", "3Y7K2M4P6R8T5V9X"],
            &["A3", "T", "K7QYLPMN5HHHFPZ2M"],
            &["da", "2-", "b3de5fg7hj9kl2mn4pq6rs8tu0"],
            &[
                "AB",
                "SK",
                "PXqwyxdXIXq90NymTd4zRDPGfgTVuSv2EGdoWVxdopOfjZBho4+lD9o7012tpdPnYHQYXeWdVA3rpNtH",
                "w3H8Vegh7Jgkkdcx9zkW",
            ],
            &["bed", "rock-api-key-", "9c007tGtWZZWiVa5rYhx-qdXBKhZfkpxphBvr6R7"],
            &["amz", "n.mws.", "db6c6c9b-7784-ccce-bba0-fecc2ef5ea7f"],
        ],
        no: &[
            &["da2-", "customersordersbyregionand"],
            &["AK", "IA", "AAAAAAAAAAAAAAAA"],
            &["AKIA", "qylpmn5hhhfpzam2"],
            &["AKIA", "QYLPMN5HHHFPZAM2X"],
            &["EUR", "ASIA", "CUSTOMERSORDERS2"],
        ],
    },
    Format {
        id: "azure-key",
        title: "Azure key that its maker has marked",
        patterns: &[
            // Of 32 bytes: Event Hubs, Service Bus, IoT Hub, Event Grid. The letter is of the 4 bits that the last byte of the
            // mark leaves.
            marked(
                &["+AEh", "+ASb", "AIoT", "AZEG"],
                1,
                &[
                    exact(SIXTY_FOUR, 33),
                    exact(UPPER, 1),
                    exact(SIXTY_FOUR, 5),
                    Part::Text("="),
                ],
            ),
            // Of 64 bytes: API Management.
            marked(
                &["APIM"],
                1,
                &[exact(SIXTY_FOUR, 76), exact(SIXTY_FOUR, 6), Part::Text("==")],
            ),
            // Of 39 bytes: Container Registry.
            marked(
                &["+ACR"],
                1,
                &[exact(SIXTY_FOUR, 42), exact(UPPER, 1), exact(SIXTY_FOUR, 5)],
            ),
            // Of 40 bytes in the URL alphabet: Functions.
            marked(
                &["AzFu"],
                1,
                &[exact(URL64, 44), exact(URL64, 6), Part::Text("==")],
            ),
            // The common form of later services, with and without its checksum.
            marked(&["JQQJ9D", "JQQJ9H"], 1, &[exact(ALNUM, 52), exact(ALNUM, 26)]),
            marked(
                &["JQQJ9D", "JQQJ9H"],
                1,
                &[exact(ALNUM, 52), exact(ALNUM, 28), Part::Text("==")],
            ),
        ],
        yes: &[
            &["aB3dE5fG7hJ9kL2mN4pQ6rS8tU0vWx1Y/", "+AEh", "BaB3dE="],
            &["aB3dE5fG+hJ9kL2mN4pQ6rS8tU0vWx1Yz", "AIoT", "Da+3dE="],
            &["aB3dE5fG+hJ9kL2mN4pQ6rS8tU0vWx1YzaB3dE5fG7", "+ACR", "DaB3dE"],
            &[
                "aB3dE5fG+hJ9kL2mN4pQ6rS8tU0vWx1YzaB3dE5fG7hJ9kL2mN4pQ6rS8tU0vWx1Yz5AbC3dE5fG",
                "APIM",
                "kB+dEQ==",
            ],
            &["aB3dE5fG-hJ9kL2mN4pQ6rS8tU0vWx1YzaB3dE5fG7hJ", "AzFu", "kB_dEQ=="],
            &[
                "aB3dE5fG7hJ9kL2mN4pQ6rS8tU0vWx1YzaB3dE5fG7hJ9kL2mN4p",
                "JQQJ9H",
                "aBb3dE5fG7hJ9kL2mN4pQ6rS8t",
            ],
            &[
                "Uq0CB8Uac1VhgEqp2ZcLN2GeaQG0FBmoSvsQuWJmVXH27U72EfpA",
                "JQQJ9D",
                "B9vDnKHRnCDNOzlUXxhJszRl7xPp==",
            ],
        ],
        no: &[
            &["B3dE5fG7hJ9kL2mN4pQ6rS8tU0vWx1Y/", "+AEh", "BaB3dE="],
            &["+aB3dE5fG7hJ9kL2mN4pQ6rS8tU0vWx1Y/", "+AEh", "BaB3dE="],
            &["aB3dE5fG+hJ9kL2mN4pQ6rS8tU0vWx1Yz", "AIoT", "daB3dE="],
            &["Azure API Management (APIM) and AIoT services"],
        ],
    },
    Format {
        id: "google-key",
        title: "Google API key, client secret or access token",
        patterns: &[
            pattern(&["AIza"], &[run(URL64, 35, 35)]).glued(),
            pattern(&["GOCSPX-"], &[run(URL64, 28, 28)]).glued(),
            pattern(&["ya29."], &[run(URL64.or(DOT), 20, 2000)]).glued(),
            pattern(&["1//0"], &[run(URL64, 40, 200)]),
            // A code of OAuth, of 52 to 70 characters.
            pattern(&["4/0A"], &[run(URL64, 48, 80)]).opaque(),
            pattern(&["GOOG"], &[run(ALNUM, 20, 70)]).opaque(),
        ],
        yes: &[
            &["AI", "za", "SyB3dE5fG7hJ9kL2mN4pQ6rS8tU0vWx1Yz5"],
            &["GOC", "SPX-", "B3dE5fG7hJ9kL2mN4pQ6rS8tU0vW"],
            &["ya", "29.", "a0ARrdaM9Ra8K7R9AcxA1PpIMLVQ021"],
            &["1/", "/0", "0g8DxEPxG5Lac8OGHGhN-Q2JnQoPH8IQsLcCt62a"],
            &["4/", "0A", "0DUlhdJj46D8M17luXwlABfy-KyzoVQ9opADWrW2AeOoyYJZ"],
            &["GO", "OG", "8zS6gXdHaXMzFPuD41It"],
        ],
        no: &[
            &["4/0A", "_customers_of_the_region_by_year_and_country_and_kind_1"],
            &["AIza", "short"],
            &["ya29.invalid"],
        ],
    },
    Format {
        id: "databricks-token",
        title: "Databricks token",
        patterns: &[pattern(&["dapi", "dose", "dkea"], &[run(LOWER_HEX, 32, 32)])],
        yes: &[&["da", "pi", "0123456789abcdef0123456789abcdef"]],
        no: &[&["dapi", "0123456789abcdef"]],
    },
    Format {
        id: "ai-service-key",
        title: "Key of an AI service",
        patterns: &[
            pattern(&["sk-ant-"], &[run(URL64, 60, 200)]).glued(),
            pattern(
                &["sk-proj-", "sk-svcacct-", "sk-admin-", "sk-None-", "sk-or-v1-"],
                &[run(URL64, 32, 200)],
            )
            .glued(),
            pattern(&["sk-"], &[run(ALNUM, 20, 64)]).opaque(),
            pattern(&["sk-"], &[run(URL64, 40, 200)]).opaque(),
            pattern(&["gsk_"], &[run(ALNUM, 48, 60)]),
            pattern(&["hf_", "api_org_"], &[run(ALNUM, 34, 40)]),
            pattern(&["r8_"], &[run(WORD, 36, 44)]),
            pattern(&["xai-"], &[run(WORD, 70, 90)]),
            pattern(&["pplx-"], &[run(URL64, 40, 60)]),
            pattern(&["tgp_v1_"], &[exact(URL64, 43)]),
            pattern(&["tvly-"], &[run(URL64, 24, 60)]).opaque(),
            pattern(&["lsv2_pt_", "lsv2_sk_"], &[run(WORD, 40, 60)]),
            pattern(&["ls__"], &[run(LOWER_HEX, 32, 32)]),
            pattern(&["nvapi-"], &[run(URL64, 60, 80)]),
            pattern(&["pcsk_"], &[run(WORD, 50, 90)]),
            pattern(&["fc-"], &[exact(LOWER_HEX, 32)]),
            // The secret of Modal's pair, and keys of Context7.
            pattern(&["as-"], &[exact(ALNUM, 22)]).opaque(),
            pattern(&["ctx7sk-"], &[run(LOWER_HEX.or(DASH), 36, 36)]),
            pattern(&["key_"], &[exact(LOWER_HEX, 64)]),
            pattern(&["apk_user_", "apk_"], &[run(BASE64.or(URL64), 40, 300)]).opaque(),
            pattern(&["cog_"], &[run(LOWER_ALNUM, 32, 64)]),
            pattern(&["BSA"], &[run(URL64, 28, 29)]).opaque(),
            pattern(&["wandb_v1_"], &[run(WORD, 40, 100)]),
            pattern(&["fw_"], &[run(ALNUM, 22, 24)]).opaque(),
            pattern(&["4b1d"], &[exact(ALNUM, 38)]).opaque(),
            pattern(&["AQVN"], &[run(URL64, 35, 38)]).opaque(),
        ],
        yes: &[
            &[
                "sk",
                "-ant-",
                "api03-aB3dE5fG7hJ9kL2mN4pQ6rS8tU0vWx1Yz5AbC3dE5fG7hJ9kL2mN4pQ6rS8tU0vWx1Yz5",
            ],
            &["sk", "-", "Xi8tcNiHV9awbCcvilTeT3BlbkFJ3UDnpdEwNNm6wVBpYM0o"],
            &["h", "f_", "aBcdEfGhJkLmNpQrStUvWxYzAbCdEfGhJk"],
            &["gs", "k_", "aB3dE5fG7hJ9kL2mN4pQ6rS8tU0vWx1Yz5AbC3dE5fG7hJ9kL2mN"],
            &["f", "w_", "aB3dE5fG7hJ9kL2mN4pQ6rS8"],
            &["4b", "1d", "aB3dE5fG7hJ9kL2mN4pQ6rS8tU0vWx1Yz5AbC3"],
            &["AQ", "VN", "aB3dE5fG7hJ9kL2mN4pQ6rS8tU0vWx1Yz5AbC"],
            &["tg", "p_v1_", "aB3dE5fG7hJ9kL_mN4pQ6rS-tU0vWx1Yz5AbC3dE5fG"],
            &["sk-", "proj-", "tWaYMhrEsOVl3tUy-Z6hzi7gggyfHBVT"],
            &["r", "8_", "fq9AYcanSOuWZzhMgj_1Nsi8OEPxdEe0zqZT"],
            &[
                "xa",
                "i-",
                "FTfAYThn4N8EliCBjbfWtXseaBnLXDRkQuw_E7xbGC6Hhs4MpGEg1GaTko3r9vL1mxfFgj",
            ],
            &["ppl", "x-", "UmTpJH9nehWoLco1UfkN-G7XosjinWzJZ8cqKOQQ"],
            &["tvl", "y-", "JRMs2hWDDYUYBzfNwBjdn3kW"],
            &["lsv", "2_pt_", "kHxrOVCbRSDRYG3BlzrY_c2SyKLp2pSoOjVMyDm8"],
            &["ls", "__", "11c23cef3edc24a67b79d51313a42698"],
            &[
                "nva",
                "pi-",
                "gkPYdwt50XJD1pDu1hLiaSspnPsFnP-S3yme8oYYfnKUE0RAwxHXS4lf67fQ",
            ],
            &["pcs", "k_", "pJvEOZ1WMNZUmLThIojzCsItZ_FQLbxz5jCr1SAM9Gvur2ExyD"],
            &["f", "c-", "fbbc969f00aa5a94acec159e9dc221f1"],
            &[
                "ke",
                "y_",
                "6ea4e91a9f0dffaafe7f59dc80b9b93065af1523c9f281f5eea2563b0d28988f",
            ],
            &["apk", "_user_", "p413huVCGWKmeVEtDTLh-tJ7kedxSYUFHlZEx0cX"],
            &["co", "g_", "wi6bmjx6q1wpiye791u7zbnjbgsmrt77"],
            &["B", "SA", "AvNqQ5akogIPap1ns9KAj49DTcfa"],
            &["wan", "db_v1_", "QBmJLHr4RgA5M7N1NCah_PSolDlIp2rXVuMjevpq"],
            &["a", "s-", "TOHQ0cIsJhX5Lvy7RQXUG0"],
            &["ctx", "7sk-", "6a64784d-b7f4-676c-09a4-6015633e595e"],
        ],
        no: &[
            &["as-", "customersByRegionYear1"],
            &["ctx7sk-", "key"],
            &["sk-", "customer-orders-by-region-and-country-of-delivery"],
            &["hf_orders"],
            &["fw_", "customer_orders_by_year"],
        ],
    },
    Format {
        id: "webhook-url",
        title: "Secret part of a webhook's URL",
        patterns: &[
            pattern(
                &[
                    "hooks.slack.com/services/",
                    "hooks.slack.com/workflows/",
                    "hooks.slack.com/triggers/",
                ],
                &[run(WORD.or(BASE64), 30, 120)],
            )
            .in_url(),
            pattern(
                &["discord.com/api/webhooks/", "discordapp.com/api/webhooks/"],
                &[run(URL64.or(BASE64), 30, 120)],
            )
            .in_url(),
            pattern(&["hooks.zapier.com/hooks/catch/"], &[run(BASE64, 12, 60)]).in_url(),
            pattern(
                &[
                    "webhook.office.com/webhookb2/",
                    "outlook.office.com/webhook/",
                    "outlook.office365.com/webhook/",
                ],
                &[
                    run(URL64.or(BASE64).or(PERCENT), 1, 60),
                    Part::Text("@"),
                    run(URL64.or(BASE64), 40, 250),
                ],
            )
            .in_url(),
            pattern(
                &[
                    "hook.eu1.make.com/",
                    "hook.eu2.make.com/",
                    "hook.us1.make.com/",
                    "hook.us2.make.com/",
                    "hook.integromat.com/",
                ],
                &[run(ALNUM, 24, 48)],
            )
            .in_url(),
            pattern(
                &["maker.ifttt.com/trigger/"],
                &[run(URL64, 1, 80), Part::Text("/"), run(BASE64.or(URL64), 20, 100)],
            )
            .in_url(),
            pattern(
                &["chat.googleapis.com/v1/spaces/"],
                &[
                    run(URL64, 6, 40),
                    Part::Text("/messages?key="),
                    run(URL64_PADDED.or(PERCENT).or(crate::alphabet::TOKEN), 30, 100),
                    Part::Text("&token="),
                    run(URL64_PADDED.or(PERCENT), 20, 120),
                ],
            )
            .in_url(),
            pattern(&["hooks.zapier.com/hooks/standard/"], &[run(BASE64, 12, 80)]).in_url(),
            pattern(
                &["hooks.airtable.com/workflows/v1/genericWebhook/"],
                &[run(BASE64, 40, 80)],
            )
            .in_url(),
            pattern(
                &["connect.pabbly.com/workflow/sendwebhookdata/"],
                &[run(URL64_PADDED, 24, 200)],
            )
            .in_url(),
            // Whoever has such a URL may say that a job is well.
            pattern(&["hc-ping.com/"], &[run(LOWER_HEX.or(DASH), 36, 36)]).in_url(),
            pattern(
                &[
                    "uptime.betterstack.com/api/v1/heartbeat/",
                    "betteruptime.com/api/v1/heartbeat/",
                ],
                &[exact(ALNUM, 24)],
            )
            .in_url(),
            pattern(
                &["cronitor.link/p/", "cronitor.link/ping/"],
                &[exact(LOWER_HEX, 32)],
            )
            .in_url(),
            pattern(
                &["workato.com/webhooks/rest/"],
                &[run(LOWER_HEX.or(DASH), 36, 36)],
            )
            .in_url(),
            pattern(&["events.pagerduty.com/integration/"], &[run(LOWER_HEX, 32, 32)]).in_url(),
            pattern(
                &["alert.victorops.com/integrations/generic/"],
                &[run(BASE64.or(URL64), 30, 120)],
            )
            .in_url(),
        ],
        yes: &[
            &[
                "https://hooks.slack.com/",
                "services/",
                "T0B3dE5fG/B7hJ9kL2mN/4pQ6rS8tU0vWx1Yz5AbC3dE5",
            ],
            &["https://hooks.zapier.com/", "hooks/catch/", "123456/abc9de8/"],
            &[
                "https://dis",
                "cord.com/api/webhooks/",
                "VhUuZFHxN1KFk5bg8nykrkwGf9BaRl",
            ],
            &[
                "https://web",
                "hook.office.com/webhookb2/",
                "C@XPws62naXdmhiKQszz29-DrZZZBAiSRviVhJmnx0",
            ],
            &["https://hoo", "k.eu1.make.com/", "O5c2MVRamIDBSmWGlaijXvUw"],
            &["https://mak", "er.ifttt.com/trigger/", "8/I3Ekv1oy3kgLUGltwh6x"],
            &[
                "https://cha",
                "t.googleapis.com/v1/spaces/",
                "VVMUjg/messages?key=MXeazGts8xyXKmv9b2Hd7JpM61exCv&token=H9K0Xd24041e6LzDJnt1",
            ],
            &["https://hc-", "ping.com/", "cd46429d-a90a-c9fd-81a2-e7b62155419d"],
            &[
                "https://wor",
                "kato.com/webhooks/rest/",
                "86131ed6-0400-04d9-ff81-3814703ee3b5",
            ],
            &[
                "https://eve",
                "nts.pagerduty.com/integration/",
                "6b73368d84519d769e17968c4ed5291d",
            ],
            &[
                "https://ale",
                "rt.victorops.com/integrations/generic/",
                "WkecrOJSFFQ4pQICSaJ339yzr3ifIo",
            ],
            &["https://hoo", "ks.zapier.com/hooks/standard/", "kYKD9ozb8QUE"],
            &[
                "https://hoo",
                "ks.airtable.com/workflows/v1/genericWebhook/",
                "DtM2umHzn185XAmqkSvD+doyiizr82DjpTyWI9O5",
            ],
            &[
                "https://con",
                "nect.pabbly.com/workflow/sendwebhookdata/",
                "xFrFUrHh9lgL8yhZ1LUJviFz",
            ],
            &[
                "https://upt",
                "ime.betterstack.com/api/v1/heartbeat/",
                "rCu1wanjcr32z2GluPMdTpy5",
            ],
            &["https://cro", "nitor.link/p/", "c9761959c2a6cc803c477bc2987734b9"],
        ],
        no: &[
            &["https://cronitor.link/", "p/KEY"],
            &["https://hc-ping.com/", "docs"],
            &["https://hooks.slack.com/", "services/"],
        ],
    },
];
