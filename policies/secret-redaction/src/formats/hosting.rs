//! Tokens of hosting, monitoring and device platforms, and keys of tools that encrypt.

use super::{Format, Part, exact, marked, pattern, run};
use crate::alphabet::{
    ALNUM, BASE64, DASH, DIGIT, DOT, HEX, LOWER_ALNUM, LOWER_HEX, UPPER, UPPER_ALNUM, URL64, URL64_PADDED,
    WORD,
};

pub(super) const FORMATS: &[Format] = &[
    Format {
        id: "deployment-token",
        title: "Token of a hosting or deployment service",
        patterns: &[
            pattern(
                &["dop_v1_", "doo_v1_", "dor_v1_", "dos_v1_"],
                &[exact(LOWER_HEX, 64)],
            )
            .glued(),
            // A store's token at Vercel.
            pattern(
                &["vercel_blob_rw_"],
                &[run(ALNUM, 10, 24), Part::Text("_"), run(ALNUM, 24, 48)],
            ),
            // The scheme of Aiven's tokens, which have nothing of their own.
            pattern(&["aivenv1 ", "aivenv1"], &[run(BASE64, 100, 400)]),
            // A static key of Yandex Cloud, and its name.
            pattern(&["YCM", "YCN", "YCO", "YCP"], &[exact(URL64, 37)]).opaque(),
            pattern(&["YCAJE"], &[run(URL64, 20, 35)]).opaque(),
            // Service tokens of Infisical, new and old.
            pattern(
                &["st."],
                &[
                    run(LOWER_HEX.or(DASH), 36, 36),
                    Part::Text("."),
                    exact(LOWER_HEX, 32),
                    Part::Text("."),
                    exact(LOWER_HEX, 32),
                ],
            ),
            pattern(
                &["st."],
                &[
                    exact(LOWER_HEX, 24),
                    Part::Text("."),
                    exact(LOWER_HEX, 32),
                    Part::Text("."),
                    exact(LOWER_HEX, 32),
                ],
            ),
            pattern(&["HRKU-"], &[run(URL64, 30, 80)]),
            pattern(&["nfp_", "nfc_", "nfo_", "nfu_", "nfb_"], &[run(ALNUM, 36, 40)]),
            pattern(&["vcp_", "vci_", "vca_", "vcr_", "vck_"], &[run(WORD, 24, 80)]).opaque(),
            pattern(&["rnd_"], &[run(ALNUM, 28, 40)]).opaque(),
            pattern(
                &["fo1_", "fm1r_", "fm1a_", "fm2_"],
                &[run(URL64_PADDED.or(BASE64), 40, 2000)],
            ),
            pattern(&["ddp_", "ddw_"], &[exact(ALNUM, 36)]),
            pattern(&["tskey-"], &[run(URL64, 20, 80)]),
            pattern(&["CFPAT-"], &[run(URL64, 40, 50)]),
            pattern(
                &["pscale_tkn_", "pscale_pw_", "pscale_oauth_"],
                &[run(URL64.or(DOT), 32, 64)],
            )
            .glued(),
            pattern(&["sbp_"], &[run(WORD, 40, 50)]),
            // A password of Neon.
            pattern(&["npg_"], &[exact(ALNUM, 12)]).opaque(),
            // A token to join a swarm of Docker.
            pattern(
                &["SWMTKN-1-"],
                &[exact(LOWER_ALNUM, 50), Part::Text("-"), exact(LOWER_ALNUM, 25)],
            ),
            // A client's token at Akamai; a host of its has the same form and goes on with a dot.
            pattern(
                &["akab-"],
                &[
                    exact(LOWER_ALNUM, 16),
                    Part::Text("-"),
                    exact(LOWER_ALNUM.or(DOT), 16),
                ],
            )
            .opaque(),
            pattern(&["sb_secret_"], &[run(URL64, 20, 60)]),
            pattern(&["napi_"], &[run(LOWER_ALNUM, 48, 80)]),
            pattern(
                &[
                    "dp.pt.",
                    "dp.st.",
                    "dp.ct.",
                    "dp.sa.",
                    "dp.scim.",
                    "dp.audit.",
                    "dp.said.",
                ],
                &[run(URL64.or(DOT), 40, 80)],
            ),
            pattern(&["AVNS_"], &[run(URL64, 16, 40)]).opaque(),
            pattern(&["zpka_"], &[run(WORD, 32, 60)]),
            pattern(&["flb_live_", "flb_test_"], &[run(ALNUM, 20, 40)]),
            pattern(
                &["CCDB1_"],
                &[run(ALNUM, 20, 24), Part::Text("_"), exact(ALNUM, 40)],
            ),
            pattern(&["mdb_sa_sk_"], &[run(URL64, 30, 60)]),
            pattern(&["tailscale-"], &[run(ALNUM, 30, 60)]).opaque(),
            pattern(&["sha256~"], &[exact(URL64, 43)]),
            pattern(&["sm_aat_", "sm_pat_", "sm_sat_"], &[exact(ALNUM, 16)]).opaque(),
            pattern(&["unkey_"], &[run(ALNUM, 20, 40)]).opaque(),
            pattern(
                &["v1.0-"],
                &[exact(LOWER_HEX, 24), Part::Text("-"), exact(LOWER_HEX, 146)],
            ),
            pattern(
                &["prod:", "dev:"],
                &[
                    run(LOWER_ALNUM.or(DASH), 3, 80),
                    Part::Text("|"),
                    run(BASE64, 40, 400),
                ],
            ),
        ],
        yes: &[
            &[
                "do",
                "p_v1_",
                "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
            ],
            &["dp", ".pt.", "aB3dE5fG7hJ9kL2mN4pQ6rS8tU0vWx1Yz5AbC3dE5fG"],
            &["ps", "cale_pw_", "aB3dE5fG7hJ9kL2mN4pQ6rS8tU0vWx1Yz5AbC3dE"],
            &["sha256", "~aB3dE5fG7hJ9kL2mN4pQ6rS8tU0vWx1Yz5AbC3dE5fG"],
            &["sm_", "aat_", "aB3dE5fG7hJ9kL2m"],
            &["un", "key_", "aB3dE5fG7hJ9kL2mN4pQ6rS8"],
            &["np", "g_", "aB3dE5fG7hJ9"],
            &[
                "SWM",
                "TKN-1-",
                "b3de5fg7hj9kl2mn4pq6rs8tu0vwx1yzb3de5fg7hj9kl2mn4p-b3de5fg7hj9kl2mn4pq6rs8tu",
            ],
            &["ak", "ab-", "b3de5fg7hj9kl2mn-4pq6rs8tu0vwx1yz"],
            &[
                "prod",
                ":",
                "happy-animal-123|",
                "aB3dE5fG7hJ9kL2mN4pQ6rS8tU0vWx1Yz5AbC3dE5fG=",
            ],
            &["ver", "cel_blob_rw_", "TxHvCRPypy_wetmD8qP3n8qh51qbJW3PWnw"],
            &[
                "aiv",
                "env1 ",
                "jm2v4slYoFXUPQ98x5JAa4AWYhM8SnxK1cD9sTNfyIwtP8Hfek+84Pp4csRvq5FTWgutH2oeD94I6DhX",
                "oKFyMF7Cw9thcOZxLTtN",
            ],
            &["Y", "CM", "tCx4S2NIDWwfbRLBH4-IdBT00kGNjrplmdSXZ"],
            &["YCA", "JE", "mvuzG5Te7HVZIkNLuqYL"],
            &["HRK", "U-", "8HJ7KuYj25l8ZuiBCDgD5QiiRIO8XC"],
            &["nf", "p_", "lPMjVn8MjMgjoaX1jMrM1lO475vxZXfFh9c8"],
            &["vc", "p_", "aerYFop9kztm4gkZCSitzqfV"],
            &["rn", "d_", "obcuZiyUfhSFxAAOx45jaIMgdMyl"],
            &["fo", "1_", "HFMCRuIerRwERAwwJHCC-0zqwtDoIIfAEVkMuq23"],
            &["dd", "p_", "ZRUWXcGbJPGh8oMSa7fb0zgY8pQ78JYFPRQ1"],
            &["tsk", "ey-", "L6SkI84GaUkA4pzccZIR"],
            &["CFP", "AT-", "lB9xhBmw8DZWccc7eQ7W-xKZq1tgSJMM7o1Xmu1p"],
            &["sb", "p_", "qI7j2xOmGMbfECJJ3RlI_m14qfOJCasrJ11A1pdj"],
            &["sb_", "secret_", "idEFeUGHfY98ZrzVQRBd"],
            &["nap", "i_", "8si6jj6whtobsout713bdwfob0tsfqdnu41e2wt7wmo08dix"],
            &["AVN", "S_", "Q6OSdR2CZX0LhE9c"],
            &["zpk", "a_", "MLytJq5l22phFTQQ_czBGs3mLTyDSihA"],
            &["flb", "_live_", "xuU5YoE0rp8lDhuGUJ3f"],
            &[
                "CCD",
                "B1_",
                "cZTag0c9tS6MzyyLKWFH_futiqXfu5939oy3zSllNWpaWbzfAsbsuCImann3f",
            ],
            &["mdb", "_sa_sk_", "Yqfw6elr29p3qZWshs1Rfo6Sfm4Dtf"],
            &["tai", "lscale-", "CUEG1X2GHmBOX3Zw1Re8ZthuJNyt2C"],
            &[
                "v1.",
                "0-",
                "97b8b8ca01677bb28b8fb9a0-396f6839c33aa40ba218a38d175ca8f5c0e2e42c70d06b8f512eaf6",
                "8169093b49740d25fd0015afac44204398bff587df49c8589817eacd2d06ea7794dfcbcd6ade4cd3",
                "25c51922682",
            ],
            &[
                "s",
                "t.",
                "f7ec4f14-9c26-eda4-1607-d95ad728fe39.74515a7a694cc1394cf79178b74f967b.b9e95b0267",
                "6b50d36d8157daf09ba764",
            ],
            &[
                "s",
                "t.",
                "1828abd990463c1a909bdb7f.f43ecbfa2e3935c80f5e15220d9abbd4.128836702301338c4f3b42",
                "60da2983ef",
            ],
        ],
        no: &[
            &["st.", "1828abd990463c1a909bdb7f.f43ecbfa2e3935c8"],
            &["vercel_blob_rw_", "test_token_of_the_store"],
            &["Authorization: aivenv1 TOKEN"],
            &["YCM", "_customers_by_region_and_by_year_0001"],
            &[
                "sha",
                "256:",
                "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
            ],
            &["unkey_customer_orders_by_year"],
            &["npg_", "customers_24"],
            &["akab-", "b3de5fg7hj9kl2mn-4pq6rs8tu0vwx1yz.luna.acme.example"],
            &["prod:orders|customers"],
            &["rnd_customer_orders_by_region_and_year"],
            &["vca_total_amount_by_customer"],
        ],
    },
    Format {
        id: "vault-token",
        title: "HashiCorp token",
        patterns: &[pattern(&["hvs.", "hvb.", "hvr."], &[run(URL64, 24, 400)]).glued()],
        yes: &[&["hv", "s.", "CAESIJlWh7p0dBz3kQx5vYt8uRn2mLs4cGf6"]],
        no: &[],
    },
    Format {
        id: "encryption-key",
        title: "Secret key of an encryption tool",
        patterns: &[
            // Seeds of NATS: of users, accounts, operators, servers, clusters, and of curves.
            pattern(
                &[
                    "SUA", "SUB", "SUC", "SUD", "SAA", "SAB", "SAC", "SAD", "SOA", "SOB", "SOC", "SOD",
                    "SNA", "SNB", "SNC", "SND", "SCA", "SCB", "SCC", "SCD", "SXA", "SXB", "SXC", "SXD",
                ],
                &[exact(UPPER_ALNUM, 55)],
            ),
            pattern(&["1PRK-"], &[run(UPPER_ALNUM.or(DASH), 60, 80)]),
            pattern(&["AGE-SECRET-KEY-1"], &[run(UPPER_ALNUM, 58, 58)]).glued(),
            pattern(
                &["A3-"],
                &[
                    exact(UPPER_ALNUM, 6),
                    Part::Text("-"),
                    run(UPPER_ALNUM.or(DASH), 28, 34),
                ],
            ),
        ],
        yes: &[
            &[
                "AGE-SECRET",
                "-KEY-1",
                "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7LQPZRY9X8GF2TVDW0S3JN54KHCE",
            ],
            &["A3", "-", "ASWWYB-798JRYLJVD4-23DC2-86TVM-H43EB"],
            &[
                "SN",
                "A",
                "B3DE5FG7HJ2KL2MN4PQ6RS3TU7VWX5YZB3DE5FG7HJ2KL2MN4PQ6RS3",
            ],
            &[
                "1PR",
                "K-",
                "TXICZ7SP9FU3AL7ZSGPQIVEBA3UIS3-26W81MXJDZJPWAEXA0UZV1C5AOTQM",
            ],
        ],
        no: &[&["A3-", "FORMAT-PAPER"]],
    },
    Format {
        id: "observability-token",
        title: "Token of a monitoring service",
        patterns: &[
            pattern(&["glsa_"], &[run(WORD, 32, 60)]).glued(),
            pattern(&["glc_"], &[run(BASE64, 32, 400)]),
            pattern(
                &["NRAK-", "NRII-", "NRIQ-", "NRSP-", "NRRA-"],
                &[run(URL64, 27, 42)],
            ),
            // Switches of features: ConfigCat, Flagsmith, GrowthBook.
            pattern(
                &["configcat-sdk-1/"],
                &[exact(URL64, 22), Part::Text("/"), exact(URL64, 22)],
            ),
            pattern(&["ser."], &[exact(ALNUM, 22)]).opaque(),
            pattern(
                &["secret_admin_", "secret_readonly_", "secret_user_"],
                &[run(URL64, 32, 64)],
            )
            .opaque(),
            // Licence keys, with and without a region.
            marked(&["NRAL"], 1, &[exact(LOWER_HEX, 36), run(ALNUM, 0, 0)]),
            marked(
                &["NRAL"],
                4,
                &[
                    exact(LOWER_ALNUM, 2),
                    exact(DIGIT, 2),
                    Part::Text("xx"),
                    exact(LOWER_HEX, 30),
                    run(ALNUM, 0, 0),
                ],
            ),
            // Grafana's keys before the ones above: base64 of `{"k":"`.
            pattern(&["eyJrIjoi"], &[run(BASE64, 60, 400)]).opaque(),
            pattern(&["NRJS-"], &[run(LOWER_HEX, 19, 19)]),
            pattern(
                &["dt0c01.", "dt0s01.", "dt0s02.", "dt0s16."],
                &[exact(UPPER_ALNUM, 24), Part::Text("."), exact(UPPER_ALNUM, 64)],
            ),
            pattern(&["sntrys_", "sntryu_"], &[run(WORD.or(BASE64), 40, 400)]),
            pattern(&["hcaik_", "hcbik_", "hcxik_"], &[run(ALNUM, 32, 64)]),
            pattern(&["phc_", "phx_"], &[run(ALNUM, 40, 50)]),
            pattern(
                &["sdk-", "api-", "mob-"],
                &[exact(HEX, 8), Part::Text("-"), run(HEX.or(DASH), 27, 27)],
            ),
            pattern(
                &["PMAK-"],
                &[exact(LOWER_HEX, 24), Part::Text("-"), exact(LOWER_HEX, 34)],
            ),
            pattern(&["PMAT-"], &[exact(UPPER_ALNUM, 26)]).opaque(),
            pattern(&["xaat-", "xapt-"], &[run(LOWER_HEX.or(DASH), 36, 36)]),
        ],
        yes: &[
            &["gl", "sa_", "aB3dE5fG7hJ9kL2mN4pQ6rS8tU0vWx1Y_0123abcd"],
            &[
                "PM",
                "AK-",
                "0123456789abcdef01234567-0123456789abcdef0123456789abcdef01",
            ],
            &["sd", "k-", "01234567-89ab-cdef-0123-456789abcdef"],
            &["xa", "at-", "01234567-89ab-cdef-0123-456789abcdef"],
            &["PM", "AT-", "01B3DE5FG7HJ9KL2MN4PQ6RS8T"],
            &["gl", "c_", "HPKssdfrUZdeRHDN+XtBGzvar0nlARra"],
            &["NRA", "K-", "o9j2Xxt6FxMBHAmTQWHNi3zDmWr"],
            &["1e7485f436fe001b1a22e8f6099917e9662e", "NRAL"],
            &["6051xx31f60a8262ffa912506df1b2138536", "NRAL"],
            &[
                "eyJ",
                "rIjoi",
                "9sKMPrSgBklCBYcP6E2K0AGUgEvy0t+Ko5ZyMVLRVGlyjCRYlGEtUCs85YQo",
            ],
            &["NRJ", "S-", "938c8860fd307512683"],
            &[
                "dt0",
                "c01.",
                "1ZOECSGOWXXTMQA0O3L68B9G.LSYMGFITVMGSEW9K8O34EIS3WM4PIFNW3B88MPUQ4J8EKIE07AA57IQ",
                "UC8JOVAG4",
            ],
            &["snt", "rys_", "VdrzQuvAmG9CVVeqIc9C_OziAStYud6xveMNK9CS"],
            &["hca", "ik_", "ZhcW1qSx9erEPDR4nnfTwcx1WxGlIefr"],
            &["ph", "c_", "ENhWqPsPdexDaWV0dXADEU5f2emATwSsbt1Ig95i"],
            &[
                "con",
                "figcat-sdk-1/",
                "5h8ZCXBDURM33ec5Tt0loO/n32LEZEzNKyMHaT4lIBjhy",
            ],
            &["se", "r.", "AvZFmLKyfKFbicMc4kkoT8"],
            &["sec", "ret_admin_", "ZYCBjkM4gCVdEE6e-7wpxGaxrlE2Cd0N"],
        ],
        no: &[
            &["ser.", "customersByRegionYear1"],
            &["secret_admin_", "customers_by_region_and_by_year_1"],
            &["configcat-sdk-1/", "key"],
            &["2024xx", "customersbyregionandbyyear0001NRAL"],
            &["api-", "gateway"],
        ],
    },
    Format {
        id: "platform-token",
        title: "Token of a platform for devices, games, calls or chats",
        patterns: &[
            pattern(&["BBFF-", "BBUS-"], &[exact(ALNUM, 30)]).opaque(),
            pattern(&["RGAPI-"], &[run(LOWER_HEX.or(DASH), 36, 36)]),
            pattern(
                &["sub-c-", "pub-c-", "sec-c-"],
                &[run(LOWER_HEX.or(DASH), 36, 36)],
            ),
            pattern(&["sec-c-"], &[run(BASE64, 48, 64)]),
            pattern(
                &["VF.", "VF.DM.", "VF.WS."],
                &[exact(LOWER_HEX, 24), Part::Text("."), exact(ALNUM, 16)],
            ),
            pattern(&["pri_"], &[exact(LOWER_HEX, 32)]),
            // A key of OneSignal.
            pattern(&["os_v2_app_", "os_v2_org_"], &[run(LOWER_ALNUM, 96, 112)]),
            pattern(
                &["persona_production_", "persona_sandbox_"],
                &[run(LOWER_HEX.or(DASH), 36, 36)],
            ),
            // A key of Fauna.
            pattern(&["fnA"], &[exact(URL64, 37)]).opaque(),
        ],
        yes: &[
            &["BB", "FF-", "aB3dE5fG7hJ9kL2mN4pQ6rS8tU0vWx"],
            &["RG", "API-", "01234567-89ab-cdef-0123-456789abcdef"],
            &["sub", "-c-", "01234567-89ab-cdef-0123-456789abcdef"],
            &["V", "F.DM.", "0123456789abcdef01234567.aB3dE5fG7hJ9kL2m"],
            &["pr", "i_", "0123456789abcdef0123456789abcdef"],
            &["sec", "-c-", "dXfIVWuvbf3dM2ENS3uk2dZy+sXv5xgx5xG5TBfHywN1kcyr"],
            &[
                "os_",
                "v2_app_",
                "lfm4r0jx5gpbwuaaerlsiw3lblcz22byzmwkatadl028jgku32gnfj1xxzux6dgfzzyhvnw6nfw0dm0n",
                "3vkkekj5v7lf7mhq",
            ],
            &["per", "sona_production_", "10f904ff-b506-b245-6743-63b58050c26e"],
            &["f", "nA", "sVhQsl1LRNUPTzRmJ4-9j8uKicrh0PtCn2FLi"],
        ],
        no: &[
            &["os_v2_", "app_customers_by_region"],
            &["fnA", "pplyDiscountToCustomersOfRegionByYear1"],
            &["persona_production_", "settings"],
            &["BBFF-", "customerordersbyregioncountry3"],
            &["VF.", "main.orders"],
        ],
    },
    Format {
        id: "license-key",
        title: "Secret key of a media or map service",
        patterns: &[
            pattern(
                &["sk.eyJ"],
                &[run(URL64, 20, 300), Part::Text("."), run(URL64, 16, 40)],
            ),
            pattern(
                &["tk.eyJ"],
                &[run(URL64, 20, 300), Part::Text("."), run(URL64, 16, 40)],
            ),
            pattern(
                &["pk.eyJ"],
                &[run(URL64, 20, 300), Part::Text("."), run(URL64, 16, 40)],
            ),
            pattern(
                &["AAAA"],
                &[run(URL64, 7, 7), Part::Text(":APA91b"), run(URL64, 100, 200)],
            ),
            pattern(&["pk."], &[exact(LOWER_HEX, 32)]),
            pattern(&["FLWSECK-", "FLWSECK_TEST-"], &[run(ALNUM, 12, 80)]),
            pattern(&["STS."], &[run(ALNUM, 20, 32)]).opaque(),
            pattern(&["LTAI"], &[run(ALNUM, 12, 24)]).opaque(),
            pattern(&["AKID"], &[run(ALNUM, 32, 32)]).opaque(),
            pattern(&["SCW"], &[exact(UPPER.or(UPPER_ALNUM), 17)]).opaque(),
        ],
        yes: &[
            &[
                "sk",
                ".eyJ",
                "1IjoiY2FwcGVsYWVyZSIsImEicf99c1BaTkZnIn0.P4lD1eHeSEx7AsBq1zbJ4g",
            ],
            &["tk.", "eyJ", "JTpjUXfKTJJ1EJZoRKMj.85iRtsQMqYupmXMb"],
            &["pk.", "eyJ", "TqHtKL19meS3XuYbo4IU.UG4yhz994mW9UyWm"],
            &[
                "AA",
                "AA",
                "rxWqsVS:APA91bOIHVMfMGj0Bl94QaP4M8s3hJxF2maOim4jVVJHN1YyMzAWWEfq-isHQDN42SyM7IIf",
                "pcBktWxtiLo8Y9YZbj9d4Br3IVT9hKdL1R",
            ],
            &["p", "k.", "b9405cb85cb56cda207951c6cc5e845f"],
            &["FLW", "SECK-", "hRmBRm6mpJTG"],
            &["ST", "S.", "CmdIqhXLVL3uiEpK5ngx"],
            &["LT", "AI", "FOPlxtJlJCXG"],
            &["AK", "ID", "Gamee5fwLnolWr5Ya3ygtQsC2IunFNMm"],
            &["S", "CW", "2JP6LU830D4FL2343"],
        ],
        no: &[&["LTAI", "configuration"]],
    },
];
