//! The OpenAPI 3.1 description, made from the route table. `api/openapi.json` is its committed form; a test holds them together.

use serde_json::{Map, Value, json};

use crate::routes::table;

/// The description as pretty JSON.
pub fn document() -> String {
    let mut paths = Map::new();
    for route in table() {
        let mut parameters: Vec<Value> = route
            .path
            .split('/')
            .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
            .map(|name| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}}))
            .collect();
        parameters.extend(route.parameters.iter().map(|name| json!({"name": name, "in": "query", "schema": {"type": "string"}})));
        parameters.extend(
            route
                .headers
                .iter()
                .map(|name| json!({"name": name, "in": "header", "required": true, "schema": {"type": "string"}})),
        );
        let problem = |what: &str| json!({"description": what, "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}});
        let schema = if route.answer == "application/json" { json!({"type": "object"}) } else { json!({"type": "string"}) };
        let mut operation = json!({
            "operationId": route.id, "summary": route.summary, "parameters": parameters, "security": [{"token": []}],
            "responses": {"200": {"description": "done", "content": {route.answer: {"schema": schema}}},
                "400": problem("the request makes no sense"), "401": problem("no good token"), "404": problem("not there"),
                "429": problem("too many wrong tokens"), "500": problem("a fault of the program"), "503": problem("too busy, or stopping")}
        });
        if !route.headers.is_empty() {
            operation["responses"]["412"] = problem("changed by somebody else meanwhile");
            operation["responses"]["428"] = problem("without the version that is changed");
        }
        if !route.body.is_empty() {
            let members: Map<String, Value> = route.body.iter().map(|name| ((*name).to_owned(), json!({}))).collect();
            operation["requestBody"] = json!({"required": true, "content": {"application/json":
                {"schema": {"type": "object", "properties": members, "additionalProperties": false}}}});
        }
        if route.records {
            operation["requestBody"] = json!({"required": true, "content": {route.media: {"schema": {"type": "string"}}}});
        }
        if route.method != "get" {
            operation["responses"]["413"] = problem("the body is too long");
        }
        let entry = paths.entry(route.path).or_insert_with(|| json!({}));
        entry[route.method] = operation;
    }
    let problem = json!({"type": "object", "required": ["type", "title", "status", "detail", "code"], "properties": {
        "type": {"type": "string"}, "title": {"type": "string"}, "status": {"type": "integer"}, "detail": {"type": "string"},
        "code": {"type": "string"}, "position": {"type": "integer"}, "reason": {"type": "string"}}});
    let all = json!({
        "openapi": "3.1.0",
        "info": {"title": "mihari", "version": env!("CARGO_PKG_VERSION"), "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"}},
        "paths": paths,
        "components": {"securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}, "schemas": {"Problem": problem}}
    });
    serde_json::to_string_pretty(&all).expect("the description is serialisable") + "\n"
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_committed_description_is_the_one_of_the_routes() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.json");
        let committed = std::fs::read_to_string(path).unwrap_or_default();
        let made = super::document();
        if committed != made {
            // Written beside, so that whoever changed a route can look and move it.
            let dir = std::env::var_os("CARGO_TARGET_TMPDIR").map_or_else(std::env::temp_dir, std::path::PathBuf::from);
            let beside = dir.join(format!("mihari-openapi-{}.json", std::process::id()));
            std::fs::write(&beside, made).expect("a temporary file");
            panic!("api/openapi.json is not what the routes say; the new one is {}", beside.display());
        }
    }
}
