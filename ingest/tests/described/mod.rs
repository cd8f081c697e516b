//! What a description of a format says of its cases, as far as tests and benchmarks read it.

#[derive(serde::Deserialize)]
pub(crate) struct Description {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) cases: Vec<Case>,
}

#[derive(serde::Deserialize)]
pub(crate) struct Case {
    pub(crate) raw: String,
}
