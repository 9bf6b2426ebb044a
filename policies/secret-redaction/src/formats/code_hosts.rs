//! Tokens of code hosts, package registries, build and deployment services.

use super::{Format, exact, pattern, run};
use crate::alphabet::{
    ALNUM, BASE64, DASH, DIGIT, DOT, HEX, LOWER_ALNUM, LOWER_HEX, UPPER, UPPER_ALNUM, URL64, URL64_PADDED,
    WORD,
};

pub(super) const FORMATS: &[Format] = &[
    Format {
        id: "github-token",
        title: "GitHub token",
        patterns: &[
            pattern(&["ghp_", "gho_", "ghu_", "ghs_", "ghr_"], &[run(ALNUM, 36, 255)])
                .checksummed()
                .glued(),
            pattern(&["github_pat_"], &[run(WORD, 40, 255)]).glued(),
            pattern(
                &["ghs_"],
                &[
                    run(DIGIT, 1, 20),
                    super::Part::Text("_eyJ"),
                    run(URL64.or(DOT), 40, 4000),
                ],
            ),
        ],
        yes: &[
            &["gh", "p_", "aB3dE5fG7hJ9kL2mN4pQ6rS8tU0vWx1Yz5Ab"],
            &[
                "github",
                "_pat_",
                "11AAGI73I0HFY8wJru4mTw_ZlpxaViSYQuKETGMTXMkbWFrZCqjas5OpXSUP6g5zbrE",
            ],
        ],
        no: &[
            &["gh", "p_", "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"],
            &["hi", "gho_", "configurationofthecustomersordersbyr"],
        ],
    },
    Format {
        id: "gitlab-token",
        title: "GitLab token",
        patterns: &[pattern(
            &[
                "glpat-",
                "glptt-",
                "gldt-",
                "glrt-",
                "glrtr-",
                "glcbt-",
                "glft-",
                "glsoat-",
                "glimt-",
                "glagent-",
                "gloas-",
                "glffct-",
                "GR1348941",
            ],
            &[run(URL64.or(DOT), 16, 300)],
        )
        .glued()],
        yes: &[
            &["gl", "pat-", "aB3dE5fG7hJ9kL2mN4pQ"],
            &["gl", "ptt-", "0123456789abcdef0123456789abcdef01234567"],
        ],
        no: &[],
    },
    Format {
        id: "atlassian-token",
        title: "Atlassian or Bitbucket token",
        patterns: &[
            pattern(&["ATBB"], &[run(ALNUM, 24, 40)]).opaque(),
            pattern(&["ATATT3xFf", "ATCTT3xFf"], &[run(URL64_PADDED, 60, 300)]),
            pattern(&["BBDC-"], &[exact(BASE64.or(URL64), 44)]).opaque(),
        ],
        yes: &[
            &["AT", "BB", "aB3dE5fG7hJ9kL2mN4pQ6rS8tU0v1234ABCD"],
            &["BB", "DC-", "MDEyaB3dE5fG7hJ9kL+mN4pQ6rS8tU0vWx1Yz5AbC3dE"],
            &[
                "AT",
                "ATT3xFf",
                "GF0pogUFVOH0_AjBEA8LJcnOJx_Ki4yl_PYkv-LwEBQQp3r37KZYnKm8IGQ-KKXDx",
            ],
        ],
        no: &[],
    },
    Format {
        id: "npm-token",
        title: "npm token",
        patterns: &[pattern(&["npm_"], &[exact(ALNUM, 36)]).checksummed().glued()],
        yes: &[&["np", "m_", "aB3dE5fG7hJ9kL2mN4pQ6rS8tU0vWx1Yz5Ab"]],
        no: &[
            &["npm_config_registry"],
            &["p", "npm_", "configurationofthecustomersordersbyr"],
        ],
    },
    Format {
        id: "package-registry-token",
        title: "Token of a package registry",
        patterns: &[
            pattern(&["pypi-"], &[run(URL64, 50, 1000)]).glued(),
            pattern(&["rubygems_"], &[run(LOWER_HEX, 48, 48)]),
            pattern(&["cio", "ciotgp"], &[exact(ALNUM, 32)]).opaque(),
            pattern(&["ciotgp8"], &[run(ALNUM, 26, 32)]).opaque(),
            pattern(&["oy2"], &[exact(LOWER_ALNUM, 43)]).opaque(),
            pattern(&["packagist_"], &[run(WORD, 30, 120)]),
            pattern(&["pyx-v1-"], &[run(URL64_PADDED, 40, 1000)]),
            pattern(&["dckr_pat_", "dckr_oat_"], &[run(URL64, 20, 60)]).glued(),
            pattern(&["CLOJARS_"], &[exact(LOWER_ALNUM, 60)]),
            pattern(&["AKCp"], &[run(ALNUM, 60, 120)]).opaque(),
            pattern(&["cmVmdGtuOj"], &[run(BASE64, 40, 120)]),
        ],
        yes: &[
            &[
                "pypi",
                "-",
                "AgEIcHlwaS5vcmcCJGExMDIxZjRhLTFhZDMtNDc4YS1iOWNmLWQwCf99OTIwZjFjNwACSHsi",
            ],
            &[
                "ruby",
                "gems_",
                "0123456789abcdef0123456789abcdef0123456789abcdef",
            ],
            &["dckr", "_pat_", "aB3dE5fG7hJ9kL2mN4pQ6rS8tU0"],
            &[
                "AK",
                "Cp",
                "8aB3dE5fG7hJ9kL2mN4pQ6rS8tU0vWx1Yz5AbC3dE5fG7hJ9kL2mN4pQ6rS8tU0vWx1Yz5A",
            ],
        ],
        no: &[&["ciot-gateway"], &["oy2"]],
    },
    Format {
        id: "build-service-token",
        title: "Token of a build or code analysis service",
        patterns: &[
            pattern(&["CCIPAT_", "CCIPRJ_"], &[run(WORD, 40, 100)]),
            pattern(&["bkua_", "bkct_"], &[run(LOWER_HEX, 40, 40)]),
            pattern(&["sgp_", "slk_"], &[run(WORD, 40, 80)]),
            pattern(&["squ_", "sqp_", "sqa_"], &[exact(LOWER_HEX, 40)]),
            pattern(&["snyk_uat."], &[run(URL64.or(DOT), 20, 300)]),
            pattern(&["odt_"], &[run(WORD, 32, 64)]).opaque(),
            pattern(&["pul-"], &[exact(LOWER_HEX, 40)]),
            pattern(&["API-"], &[run(UPPER_ALNUM, 26, 30)]).opaque(),
            pattern(&["rdme_"], &[run(LOWER_ALNUM, 70, 70)]),
            pattern(&["ops_eyJ"], &[run(BASE64, 100, 4000)]),
            pattern(&["codecov_"], &[run(LOWER_ALNUM, 32, 64)]),
            pattern(&["LSAT-"], &[run(ALNUM, 32, 32)]),
            pattern(&["infracost_", "ico-"], &[exact(ALNUM, 32)]),
            pattern(
                &["pat."],
                &[
                    exact(URL64, 22),
                    super::Part::Text("."),
                    exact(LOWER_HEX, 24),
                    super::Part::Text("."),
                    exact(ALNUM, 20),
                ],
            ),
            pattern(&["rootly_"], &[exact(LOWER_HEX, 64)]),
            pattern(&["s-s4t2ud-", "s-s4t2af-"], &[exact(LOWER_HEX, 64)]),
            pattern(&["endr+"], &[exact(ALNUM, 16)]),
            pattern(&["spu-"], &[exact(LOWER_HEX, 32)]),
            pattern(&["waka_"], &[run(LOWER_HEX.or(DASH), 36, 36)]),
            pattern(&["cosmo_"], &[exact(LOWER_HEX, 32)]),
        ],
        yes: &[
            &[
                "CCI",
                "PAT_",
                "Ab3dE5fG7hJ9kL2mN4pQ6r_0123456789abcdef0123456789abcdef01234567",
            ],
            &["sq", "p_", "0123456789abcdef0123456789abcdef01234567"],
            &[
                "sg",
                "p_",
                "0123456789abcdef_0123456789abcdef0123456789abcdef01234567",
            ],
            &[
                "pa",
                "t.aB3dE5fG7hJ9kL2mN4pQ6r.0123456789abcdef01234567.aB3dE5fG7hJ9kL2mN4pQ",
            ],
            &[
                "root",
                "ly_0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
            ],
            &[
                "s-s4t2ud",
                "-0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
            ],
            &["en", "dr+", "aB3dE5fG7hJ9kL2m"],
            &["wa", "ka_", "01234567-89ab-cdef-0123-456789abcdef"],
            &["cos", "mo_", "0123456789abcdef0123456789abcdef"],
        ],
        no: &[
            &["API-", "CONFIGURATIONREFERENCEGUIDE"],
            &["slk_customer_orders"],
            &["pat.", "main.orders"],
        ],
    },
    Format {
        id: "deployment-token",
        title: "Token of a hosting or deployment service",
        patterns: &[
            pattern(
                &["dop_v1_", "doo_v1_", "dor_v1_", "dos_v1_"],
                &[exact(LOWER_HEX, 64)],
            )
            .glued(),
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
                &[
                    exact(LOWER_ALNUM, 50),
                    super::Part::Text("-"),
                    exact(LOWER_ALNUM, 25),
                ],
            ),
            // A client's token at Akamai; a host of its has the same form and goes on with a dot.
            pattern(
                &["akab-"],
                &[
                    exact(LOWER_ALNUM, 16),
                    super::Part::Text("-"),
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
                &[run(ALNUM, 20, 24), super::Part::Text("_"), exact(ALNUM, 40)],
            ),
            pattern(&["mdb_sa_sk_"], &[run(URL64, 30, 60)]),
            pattern(&["tailscale-"], &[run(ALNUM, 30, 60)]).opaque(),
            pattern(&["sha256~"], &[exact(URL64, 43)]),
            pattern(&["sm_aat_", "sm_pat_", "sm_sat_"], &[exact(ALNUM, 16)]).opaque(),
            pattern(&["unkey_"], &[run(ALNUM, 20, 40)]).opaque(),
            pattern(
                &["v1.0-"],
                &[
                    exact(LOWER_HEX, 24),
                    super::Part::Text("-"),
                    exact(LOWER_HEX, 146),
                ],
            ),
            pattern(
                &["prod:", "dev:"],
                &[
                    run(LOWER_ALNUM.or(DASH), 3, 80),
                    super::Part::Text("|"),
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
        ],
        no: &[
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
                    super::Part::Text("-"),
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
            pattern(&["NRJS-"], &[run(LOWER_HEX, 19, 19)]),
            pattern(
                &["dt0c01.", "dt0s01.", "dt0s02.", "dt0s16."],
                &[
                    exact(UPPER_ALNUM, 24),
                    super::Part::Text("."),
                    exact(UPPER_ALNUM, 64),
                ],
            ),
            pattern(&["sntrys_", "sntryu_"], &[run(WORD.or(BASE64), 40, 400)]),
            pattern(&["hcaik_", "hcbik_", "hcxik_"], &[run(ALNUM, 32, 64)]),
            pattern(&["phc_", "phx_"], &[run(ALNUM, 40, 50)]),
            pattern(
                &["sdk-", "api-", "mob-"],
                &[exact(HEX, 8), super::Part::Text("-"), run(HEX.or(DASH), 27, 27)],
            ),
            pattern(
                &["PMAK-"],
                &[exact(LOWER_HEX, 24), super::Part::Text("-"), exact(LOWER_HEX, 34)],
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
        ],
        no: &[&["api-", "gateway"]],
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
            pattern(&["sec-c-"], &[run(ALNUM, 48, 64)]),
            pattern(
                &["VF.", "VF.DM.", "VF.WS."],
                &[exact(LOWER_HEX, 24), super::Part::Text("."), exact(ALNUM, 16)],
            ),
            pattern(&["pri_"], &[exact(LOWER_HEX, 32)]),
        ],
        yes: &[
            &["BB", "FF-", "aB3dE5fG7hJ9kL2mN4pQ6rS8tU0vWx"],
            &["RG", "API-", "01234567-89ab-cdef-0123-456789abcdef"],
            &["sub", "-c-", "01234567-89ab-cdef-0123-456789abcdef"],
            &["V", "F.DM.", "0123456789abcdef01234567.aB3dE5fG7hJ9kL2m"],
            &["pr", "i_", "0123456789abcdef0123456789abcdef"],
        ],
        no: &[
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
                &[run(URL64, 20, 300), super::Part::Text("."), run(URL64, 16, 40)],
            ),
            pattern(
                &["tk.eyJ"],
                &[run(URL64, 20, 300), super::Part::Text("."), run(URL64, 16, 40)],
            ),
            pattern(
                &["pk.eyJ"],
                &[run(URL64, 20, 300), super::Part::Text("."), run(URL64, 16, 40)],
            ),
            pattern(
                &["AAAA"],
                &[
                    run(URL64, 7, 7),
                    super::Part::Text(":APA91b"),
                    run(URL64, 100, 200),
                ],
            ),
            pattern(&["pk."], &[exact(LOWER_HEX, 32)]),
            pattern(&["FLWSECK-", "FLWSECK_TEST-"], &[run(ALNUM, 12, 80)]),
            pattern(&["STS."], &[run(ALNUM, 20, 32)]).opaque(),
            pattern(&["LTAI"], &[run(ALNUM, 12, 24)]).opaque(),
            pattern(&["AKID"], &[run(ALNUM, 32, 32)]).opaque(),
            pattern(&["SCW"], &[exact(UPPER.or(UPPER_ALNUM), 17)]).opaque(),
        ],
        yes: &[&[
            "sk",
            ".eyJ",
            "1IjoiY2FwcGVsYWVyZSIsImEicf99c1BaTkZnIn0.P4lD1eHeSEx7AsBq1zbJ4g",
        ]],
        no: &[&["LTAI", "configuration"]],
    },
];
