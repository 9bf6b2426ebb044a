//! Tokens of code hosts, package registries and build services.

use super::{Format, Part, exact, pattern, run};
use crate::alphabet::{
    ALNUM, BASE64, DASH, DIGIT, DOT, LOWER_ALNUM, LOWER_HEX, UPPER_ALNUM, URL64, URL64_PADDED, WORD,
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
                    Part::Text("_eyJ"),
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
            &["gh", "s_", "7_eyJrIoY1tIDegiCr2Ut0mx9-BQnriqR8zxTSt9tO16e"],
        ],
        no: &[
            &["gh", "p_", "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"],
            &["hi", "gho_", "configurationofthecustomersordersbyr"],
        ],
    },
    Format {
        id: "gitlab-token",
        title: "GitLab token",
        patterns: &[
            pattern(
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
            .glued(),
            // What a browser is known by.
            pattern(&["_gitlab_session="], &[exact(LOWER_ALNUM, 32)]),
        ],
        yes: &[
            &["gl", "pat-", "aB3dE5fG7hJ9kL2mN4pQ"],
            &["gl", "ptt-", "0123456789abcdef0123456789abcdef01234567"],
            &["_gi", "tlab_session=", "9k08pvl0orr9d7g3v8fdejz312x57gy2"],
        ],
        no: &[&["_gitlab_session=", "value"]],
    },
    Format {
        id: "atlassian-token",
        title: "Atlassian or Bitbucket token",
        patterns: &[
            pattern(&["ATBB"], &[run(ALNUM, 24, 40)]).opaque(),
            pattern(&["ATATT3xFf", "ATCTT3xFf"], &[run(URL64_PADDED, 60, 300)]),
            pattern(&["ATSTT3xFf"], &[run(URL64_PADDED, 60, 300)]),
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
            &[
                "ATS",
                "TT3xFf",
                "NIXRevNuPuNDz3qpEvL4zAuVuuKmTR-JqgAZcjkz4LTRxd7TQ7mcLTyQw5FD",
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
            &["c", "io", "JOwKdno3Fw8ixZKh7pgjg2cLQXeojE3n"],
            &["cio", "tgp8", "tUESbX30gwWx6mnYP0f5h8ZCXB"],
            &["o", "y2", "dybofro8jn92d4onnm14jir30kaxcjc14x3hsorx103"],
            &["pac", "kagist_", "KyfKFbicMc4kkoT8ZYCBjkM4gCVdEE"],
            &["pyx", "-v1-", "6e27wpxGaxrlE2Cd0NTO-Q0cIsJhX5Lvy7RQXUG0"],
            &[
                "CLO",
                "JARS_",
                "2ymojc0hz7vw6rqcgt2k2kdle7bah5day28t5qrdw4oyvvwuy4p5n10zjes2",
            ],
            &["cmV", "mdGtuOj", "kSvDydoyiizr82DjpTyW+9O5xFrFUrHh9lgL8yhZ"],
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
                // Personal tokens of Harness, and those of its services.
                &["pat.", "sat."],
                &[
                    exact(URL64, 22),
                    Part::Text("."),
                    exact(ALNUM, 24),
                    Part::Text("."),
                    exact(ALNUM, 20),
                ],
            ),
            pattern(&["rootly_"], &[exact(LOWER_HEX, 64)]),
            pattern(&["s-s4t2ud-", "s-s4t2af-"], &[exact(LOWER_HEX, 64)]),
            pattern(&["endr+"], &[exact(ALNUM, 16)]),
            pattern(&["spu-"], &[exact(LOWER_HEX, 32)]),
            pattern(&["waka_"], &[run(LOWER_HEX.or(DASH), 36, 36)]),
            pattern(&["cosmo_"], &[exact(LOWER_HEX, 32)]),
            // A key of StackHawk.
            pattern(&["hawk."], &[exact(URL64, 20), Part::Text("."), exact(URL64, 20)]).opaque(),
            // A key of Checkly.
            pattern(&["cu_"], &[exact(LOWER_HEX, 32)]),
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
            &["bku", "a_", "5b4d96d3d4294cdfa1b87a4969e73309c9761959"],
            &["sny", "k_uat.", "O2MWaGACL0IFrV24TOXZ"],
            &["od", "t_", "ZqNLfiUXoclTXlBA_2WhPjvvruGJ3ZtR"],
            &["pu", "l-", "2c00b74fd78c63bb74a04dbea51d477917e95f22"],
            &["AP", "I-", "U1U3JHZCJCZOYGAPIE4IS8TI6A"],
            &[
                "rdm",
                "e_",
                "k501bom40r97obksp3p7v31dqpr2zg57vjmgij7tty4m5fjoy5ll0gcv5gtudznp6rj2g6",
            ],
            &[
                "ops",
                "_eyJ",
                "ViO0YgNXNf4sclDdHjjMHvZgceqHAiG8jvJiefkd8HIu1I8Vyi+W3T0pkIFaDtpkAk0R0mSLnBpVxCBq",
                "ClYuijUX2cppiEJAuX1c",
            ],
            &["cod", "ecov_", "2kc06tw5odu8q9md1r6sx202nlh8us3q"],
            &["LSA", "T-", "XBGnK1yJ911f4KBkR86jRdlOcbedZnRH"],
            &["inf", "racost_", "DiYmfVkfSpFHd5eOtaseRctTpYQHtnTt"],
            &["sp", "u-", "d06cfcd70e6f5e39666e6879eacf2f27"],
            &["haw", "k.", "0rjjk5ch0q1G7RM5pZW9.iLHMmqobEemsUF0J7u5I"],
            &["c", "u_", "a1cee4c9b4f89dc331a426dc189e0f33"],
        ],
        no: &[
            &["sat.", "main.orders"],
            &["hawk.", "main.orders"],
            &["API-", "CONFIGURATIONREFERENCEGUIDE"],
            &["slk_customer_orders"],
            &["pat.", "main.orders"],
        ],
    },
];
