//! `filter_path`: which parts of an answer are wanted.
//!
//! Paths of names with dots between (`hits.hits._source.user`), `*` for any letters of a name, `**` for any names, `-` before what is left out; a
//! list counts as each of its elements. An answer that has nothing of it is an empty object. Errors are told whole.

use serde_json::{Map, Value};

use super::dsl::glob;
use super::fault::Fault;

/// Paths of one request, and names of all of them.
const PATHS_MAX: usize = 256;
const NAMES_MAX: usize = 2048;

/// What of an answer is wanted.
pub(super) struct Paths {
    wanted: Vec<Vec<String>>,
    left_out: Vec<Vec<String>>,
}

impl Paths {
    /// Reads paths with commas between; none where there are none.
    pub(super) fn read(text: &str) -> Result<Option<Paths>, Fault> {
        let mut paths = Paths { wanted: Vec::new(), left_out: Vec::new() };
        for path in text.split(',').map(str::trim).filter(|path| !path.is_empty()) {
            let (into, path) = match path.strip_prefix('-') {
                Some(path) => (&mut paths.left_out, path),
                None => (&mut paths.wanted, path),
            };
            into.push(path.split('.').map(str::to_owned).collect());
        }
        let all = || paths.wanted.iter().chain(&paths.left_out);
        if all().count() > PATHS_MAX || all().map(Vec::len).sum::<usize>() > NAMES_MAX {
            return Err(Fault::illegal(format!("[filter_path] has {PATHS_MAX} paths at most, with {NAMES_MAX} names")));
        }
        Ok((all().count() > 0).then_some(paths))
    }

    /// The wanted parts of an answer.
    pub(super) fn of(&self, mut answer: Value) -> Value {
        leave_out(&mut answer, &slices(&self.left_out));
        if self.wanted.is_empty() {
            return answer;
        }
        keep(answer, &slices(&self.wanted)).unwrap_or_else(|| Value::Object(Map::new()))
    }
}

fn slices(paths: &[Vec<String>]) -> Vec<&[String]> {
    paths.iter().map(Vec::as_slice).collect()
}

/// What is left of these paths behind a member of this name. An empty one: it is meant as a whole.
fn behind<'p>(paths: &[&'p [String]], name: &str) -> Vec<&'p [String]> {
    let mut all: Vec<&[String]> = Vec::new();
    for path in paths {
        let mut path = *path;
        // `**` stands for no name too.
        while let [first, rest @ ..] = path
            && first == "**"
        {
            all.push(path);
            path = rest;
        }
        match path {
            [] => all.push(path),
            [first, rest @ ..] if glob(first, name) => all.push(rest),
            _ => {}
        }
    }
    all.sort_unstable();
    all.dedup();
    all
}

fn is_whole(path: &&[String]) -> bool {
    path.iter().all(|name| name == "**")
}

fn keep(value: Value, paths: &[&[String]]) -> Option<Value> {
    if paths.iter().any(is_whole) {
        return Some(value);
    }
    match value {
        Value::Object(members) => {
            let kept = members.into_iter().filter_map(|(name, value)| {
                let kept = keep(value, &behind(paths, &name))?;
                Some((name, kept))
            });
            Some(kept.collect::<Map<String, Value>>()).filter(|kept| !kept.is_empty()).map(Value::Object)
        }
        Value::Array(list) => {
            let kept: Vec<Value> = list.into_iter().filter_map(|value| keep(value, paths)).collect();
            (!kept.is_empty()).then_some(Value::Array(kept))
        }
        _ => None,
    }
}

fn leave_out(value: &mut Value, paths: &[&[String]]) {
    match value {
        Value::Object(members) => members.retain(|name, value| {
            let paths = behind(paths, name);
            let stays = !paths.iter().any(is_whole);
            if stays && !paths.is_empty() {
                leave_out(value, &paths);
            }
            stays
        }),
        Value::Array(list) => list.iter_mut().for_each(|value| leave_out(value, paths)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn parts_are_kept_as_asked() {
        let answer = json!({"took": 1, "hits": {"total": {"value": 2}, "hits": [
            {"_id": "1", "_source": {"user": {"name": "a", "id": 1}}}, {"_id": "2", "_source": {"host": {"name": "b"}}}]}});
        for (paths, expected) in [
            ("took", json!({"took": 1})),
            ("took,hits.total.*", json!({"took": 1, "hits": {"total": {"value": 2}}})),
            ("hits.hits._id", json!({"hits": {"hits": [{"_id": "1"}, {"_id": "2"}]}})),
            ("hits.hits._source.us*", json!({"hits": {"hits": [{"_source": {"user": {"name": "a", "id": 1}}}]}})),
            ("**.name", json!({"hits": {"hits": [{"_source": {"user": {"name": "a"}}}, {"_source": {"host": {"name": "b"}}}]}})),
            ("hits.**.value", json!({"hits": {"total": {"value": 2}}})),
            ("-hits", json!({"took": 1})),
            (
                "-**.name,-hits.hits._id,-took",
                json!({"hits": {"total": {"value": 2}, "hits": [{"_source": {"user": {"id": 1}}}, {"_source": {"host": {}}}]}}),
            ),
            ("hits.hits,-hits.hits._source", json!({"hits": {"hits": [{"_id": "1"}, {"_id": "2"}]}})),
            ("nothing", json!({})),
            ("took.more", json!({})),
        ] {
            let paths = Paths::read(paths).expect("paths").expect("some");
            assert_eq!(paths.of(answer.clone()), expected);
        }
        assert!(Paths::read("").expect("none").is_none());
        assert!(Paths::read(&"a,".repeat(1000)).is_err());
    }
}
