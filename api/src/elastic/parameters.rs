//! What a request may say in its address. A name that is not read there would be read over, and the answer be another one than was asked for:
//! it is refused, as Elasticsearch does.

use super::dsl::Parameters;
use super::fault::Fault;

/// About the form of the answer, of whatever request.
const FORM: &[&str] = &["error_trace", "filter_path", "format", "human", "pretty", "source_content_type"];
/// Which indices: there is one.
const INDICES: &[&str] = &["allow_no_indices", "expand_wildcards", "ignore_throttled", "ignore_unavailable"];
/// Which of several copies, and how many at once: there is one.
const COPIES: &[&str] = &[
    "batched_reduce_size",
    "ccs_minimize_roundtrips",
    "max_concurrent_searches",
    "max_concurrent_shard_requests",
    "pre_filter_shard_size",
    "preference",
    "realtime",
    "refresh",
    "request_cache",
    "routing",
];
/// The query as a text.
const QUERY: &[&str] = &["analyze_wildcard", "default_operator", "df", "lenient", "q"];
/// Which fields.
const SOURCE: &[&str] = &[
    "_source",
    "_source_exclude",
    "_source_excludes",
    "_source_include",
    "_source_includes",
    "force_synthetic_source",
    "stored_fields",
];
/// What a search may say. Scores and versions are read over, as in its body.
const SEARCH: &[&str] = &[
    "allow_partial_search_results",
    "cancel_after_time_interval",
    "docvalue_fields",
    "explain",
    "from",
    "include_named_queries_score",
    "phase_took",
    "rest_total_hits_as_int",
    "scroll",
    "search_type",
    "seq_no_primary_term",
    "size",
    "sort",
    "stats",
    "terminate_after",
    "timeout",
    "track_scores",
    "track_total_hits",
    "typed_keys",
    "version",
];
const LATER: &[&str] = &["keep_alive", "keep_on_completion", "wait_for_completion_timeout"];
const SCROLL: &[&str] = &["rest_total_hits_as_int", "scroll", "scroll_id"];
const SEARCHES: &[&str] =
    &["cancel_after_time_interval", "include_named_queries_score", "rest_total_hits_as_int", "search_type", "typed_keys"];
const PIT: &[&str] = &["allow_partial_pit_creation", "allow_partial_search_results", "keep_alive"];
const FIELDS: &[&str] = &["fields", "filters", "include_empty_fields", "include_unmapped", "types"];
/// What Elasticsearch knows and we do not do.
const NOT_SUPPORTED: &[&str] = &[
    "analyzer",
    "min_score",
    "search_pipeline",
    "source",
    "suggest_field",
    "suggest_mode",
    "suggest_size",
    "suggest_text",
    "version_type",
];

/// What a search of an `_msearch` may say beside the index: nothing hangs on it here.
pub(super) const IN_HEADERS: &[&str] = &[
    "allow_no_indices",
    "ccs_minimize_roundtrips",
    "expand_wildcards",
    "ignore_throttled",
    "ignore_unavailable",
    "indices",
    "max_concurrent_shard_requests",
    "preference",
    "project_routing",
    "request_cache",
    "routing",
    "search_type",
    "type",
    "types",
];

/// What requests that are asked at `path` may say; none: nothing hangs on it.
fn known(path: &str) -> Option<&'static [&'static [&'static str]]> {
    let mut segments = path.split('/').skip_while(|segment| !segment.starts_with('_'));
    Some(match (segments.next()?, segments.next()) {
        ("_search", Some("scroll")) => &[FORM, SCROLL],
        ("_pit", _) | ("_search", Some("point_in_time")) => &[FORM, INDICES, COPIES, PIT],
        ("_search", _) => &[FORM, INDICES, COPIES, QUERY, SOURCE, SEARCH],
        ("_async_search", _) => &[FORM, INDICES, COPIES, QUERY, SOURCE, SEARCH, LATER],
        ("_msearch", _) => &[FORM, INDICES, COPIES, SEARCHES],
        ("_count", _) => &[FORM, INDICES, COPIES, QUERY, &["terminate_after"]],
        ("_validate", _) => &[FORM, INDICES, QUERY, &["all_shards", "explain", "rewrite"]],
        ("_field_caps", _) => &[FORM, INDICES, FIELDS],
        ("_terms_enum", _) => &[FORM, INDICES],
        ("_mget", _) => &[FORM, COPIES, SOURCE],
        ("_doc", Some(_)) | ("_source", _) => &[FORM, COPIES, SOURCE, &["version"]],
        _ => return None,
    })
}

/// Refuses what is not read.
///
/// # Errors
/// Names all of it.
pub(super) fn check(path: &str, parameters: &Parameters) -> Result<(), Fault> {
    let Some(known) = known(path) else { return Ok(()) };
    let mut others: Vec<&str> = parameters.keys().map(String::as_str).collect();
    others.retain(|name| !known.iter().any(|names| names.contains(name)));
    others.sort_unstable();
    if let Some(name) = others.iter().find(|name| NOT_SUPPORTED.contains(name)) {
        return Err(Fault::illegal(format!("[{name}] is not supported")));
    }
    match others.len() {
        0 => Ok(()),
        len => {
            let (s, names) = (if len > 1 { "s" } else { "" }, others.join("], ["));
            Err(Fault::illegal(format!("request [{path}] contains unrecognized parameter{s}: [{names}]")))
        }
    }
}
