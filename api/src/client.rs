//! The other side of the interface, for the program's own commands.

use std::io::Read;

use serde::Deserialize;

/// A request did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The service could not be reached, or broke off.
    #[error("failed to reach the service at {url}")]
    Unreachable {
        /// Where it was looked for.
        url: String,
        /// Why.
        source: Box<ureq::Error>,
    },
    /// It refused.
    #[error("the service refused: {status} {code}: {detail}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The problem's code (RFC 9457), where it was told in that form.
        code: String,
        /// What it says.
        detail: String,
    },
}

/// What is read of a problem document.
#[derive(Deserialize)]
struct Told {
    code: String,
    detail: String,
    position: Option<usize>,
}

fn unreachable(url: &str) -> impl Fn(ureq::Error) -> ClientError + '_ {
    |source| ClientError::Unreachable { url: url.to_owned(), source: Box::new(source) }
}

fn agent() -> ureq::Agent {
    ureq::Agent::config_builder().http_status_as_error(false).max_redirects(0).proxy(None).build().into()
}

fn check(mut response: ureq::http::Response<ureq::Body>) -> Result<ureq::http::Response<ureq::Body>, ClientError> {
    if response.status().is_success() {
        return Ok(response);
    }
    let status = response.status().as_u16();
    let body = response.body_mut().read_to_string().unwrap_or_default();
    Err(match serde_json::from_str(&body) {
        Ok(Told { code, detail, position: None }) => ClientError::Refused { status, code, detail },
        Ok(Told { code, detail, position: Some(at) }) => {
            ClientError::Refused { status, code, detail: format!("{detail}, at character {at}") }
        }
        Err(_) => ClientError::Refused { status, code: "from something else".to_owned(), detail: body },
    })
}

/// Posts JSON and gives the answer.
///
/// # Errors
/// Where the service cannot be reached or refuses.
pub fn post(url: &str, path: &str, token: &str, body: &str) -> Result<String, ClientError> {
    let request = agent().post(format!("{url}{path}")).header("Authorization", format!("Bearer {token}"));
    let sent = request.header("Content-Type", "application/json").send(body).map_err(unreachable(url))?;
    check(sent)?.body_mut().with_config().limit(64 << 20).read_to_string().map_err(unreachable(url))
}

/// Changes a part of something by JSON and gives the answer.
///
/// # Errors
/// Where the service cannot be reached or refuses.
pub fn patch(url: &str, path: &str, token: &str, body: &str) -> Result<String, ClientError> {
    let request = agent().patch(format!("{url}{path}")).header("Authorization", format!("Bearer {token}"));
    let sent = request.header("Content-Type", "application/json").send(body).map_err(unreachable(url))?;
    check(sent)?.body_mut().with_config().limit(64 << 20).read_to_string().map_err(unreachable(url))
}

/// Posts JSON and gives the answer as it comes, in lines where it can come so.
///
/// # Errors
/// Where the service cannot be reached or refuses.
pub fn download(url: &str, path: &str, token: &str, body: &str) -> Result<impl Read + use<>, ClientError> {
    let request = agent().post(format!("{url}{path}")).header("Authorization", format!("Bearer {token}"));
    let request = request.header("Content-Type", "application/json").header("Accept", crate::search::LINES);
    Ok(check(request.send(body).map_err(unreachable(url))?)?.into_body().into_reader())
}

/// Opens a stream of server-sent events.
///
/// # Errors
/// Where the service cannot be reached or refuses.
pub fn stream(url: &str, path: &str, parameters: &[(&str, &str)], token: &str) -> Result<impl Read + use<>, ClientError> {
    let mut request = agent().get(format!("{url}{path}")).header("Authorization", format!("Bearer {token}"));
    for (name, value) in parameters {
        request = request.query(name, value);
    }
    Ok(check(request.call().map_err(unreachable(url))?)?.into_body().into_reader())
}
