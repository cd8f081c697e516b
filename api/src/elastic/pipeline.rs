//! Pipeline aggregations: what is computed from the buckets that others have counted.
//!
//! ```text
//!  within an aggregation, from bucket to bucket:   derivative, serial_diff, cumulative_sum, moving_fn, moving_avg, bucket_script, bucket_selector, bucket_sort
//!  beside an aggregation, over its buckets:        avg_bucket, sum_bucket, min_bucket, max_bucket, stats_bucket, extended_stats_bucket
//! ```
//!
//! They see the answer as it is told, so the index knows nothing of them. What they give of a bucket without a value is Elasticsearch's: nothing
//! (`gap_policy` `skip`), or as if it were nought (`insert_zeros`).

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::aggs::{figure, span_ns, stats};
use super::fault::{Fault, Members, list_of, number_of, text_of};
use super::script::{Script, ewma, holt, linear, mean};

type Read<T> = Result<T, Fault>;

/// Values that each bucket of a request is computed from, at most: those of all windows, and [`OWN_VALUES`] for whatever is computed.
pub(super) const VALUES_MAX: usize = 2000;
/// What looking for the values in a bucket is counted as.
const OWN_VALUES: usize = 20;
/// Values that one script is given.
const PATHS_MAX: usize = 20;

/// A pipeline aggregation.
pub(super) struct Pipeline {
    name: String,
    kind: Kind,
    gap: Gap,
    meta: Option<Value>,
}

enum Kind {
    /// The path, and the span of a unit in milliseconds.
    Derivative(String, Option<f64>),
    SerialDiff(String, usize),
    CumulativeSum(String),
    Moving {
        path: String,
        window: usize,
        shift: i64,
        function: Function,
    },
    Script(Vec<String>, Script),
    Selector(Vec<String>, Script),
    Sort {
        by: Vec<(String, bool)>,
        from: usize,
        size: usize,
    },
    /// The kind, the path within a bucket of the aggregation beside it, and of how many deviations bounds are told.
    Over(Over, String, f64),
}

enum Function {
    Script(Script),
    Mean,
    Linear,
    Ewma(f64),
    Holt(f64, f64),
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Over {
    Mean,
    Sum,
    Min,
    Max,
    Stats,
    ExtendedStats,
}

/// What is taken of a bucket that has no value.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Gap {
    Skip,
    Zeros,
    Keep,
}

impl Pipeline {
    /// The pipeline aggregation of this kind; none where it is none of those that are known. `values`: what is left of [`VALUES_MAX`].
    pub(super) fn read(name: &str, kind: &str, body: &Value, values: &mut usize) -> Read<Option<Pipeline>> {
        let over = match kind {
            "avg_bucket" => Some(Over::Mean),
            "sum_bucket" => Some(Over::Sum),
            "min_bucket" => Some(Over::Min),
            "max_bucket" => Some(Over::Max),
            "stats_bucket" => Some(Over::Stats),
            "extended_stats_bucket" => Some(Over::ExtendedStats),
            "derivative" | "serial_diff" | "cumulative_sum" | "moving_fn" | "moving_avg" | "bucket_script"
            | "bucket_selector" | "bucket_sort" => None,
            _ => return Ok(None),
        };
        spend(values, OWN_VALUES)?;
        let mut members = Members::new(kind, body.clone())?;
        members.ignore(&["format"]);
        let gap = match members.text("gap_policy")?.as_deref() {
            None | Some("skip") => Gap::Skip,
            Some("insert_zeros") => Gap::Zeros,
            Some("keep_values") => Gap::Keep,
            Some(other) => return Err(Fault::illegal(format!("[gap_policy] {other:?} is not supported"))),
        };
        let kind = match (over, kind) {
            (Some(over), _) => Kind::Over(over, path_of(&mut members)?, members.number("sigma")?.unwrap_or(2.0)),
            (_, "derivative") => {
                let unit = members.text("unit")?;
                let wrong = |unit: &String| Fault::illegal(format!("[unit] {unit:?} is no span of time"));
                let unit = unit.map(|unit| span_of(&unit).ok_or_else(|| wrong(&unit))).transpose()?;
                Kind::Derivative(path_of(&mut members)?, unit)
            }
            (_, "serial_diff") => {
                let lag = members.count("lag")?.unwrap_or(1).max(1);
                spend(values, lag)?;
                Kind::SerialDiff(path_of(&mut members)?, lag)
            }
            (_, "cumulative_sum") => Kind::CumulativeSum(path_of(&mut members)?),
            (_, "moving_fn" | "moving_avg") => moving(kind == "moving_fn", &mut members, values)?,
            (_, "bucket_sort") => sort_of(&mut members)?,
            (_, kind) => {
                let (names, paths) = paths_of(&mut members)?;
                let script = script_of(&mut members, &names, false)?;
                if kind == "bucket_script" { Kind::Script(paths, script) } else { Kind::Selector(paths, script) }
            }
        };
        members.finish()?;
        Ok(Some(Pipeline { name: name.to_owned(), kind, gap, meta: None }))
    }

    pub(super) fn with_meta(self, meta: Option<Value>) -> Pipeline {
        Pipeline { meta, ..self }
    }

    /// Whether it is computed beside an aggregation, over its buckets, rather than within one.
    pub(super) fn is_beside(&self) -> bool {
        matches!(self.kind, Kind::Over(..))
    }

    /// Whether what it computes hangs on the buckets' order and distance: those of a histogram.
    pub(super) fn wants_histogram(&self) -> bool {
        !matches!(self.kind, Kind::Script(..) | Kind::Selector(..) | Kind::Sort { .. } | Kind::Over(..))
    }

    /// What its answer is called where names tell kinds.
    pub(super) fn typed(&self) -> &'static str {
        match &self.kind {
            Kind::Derivative(..) => "derivative",
            Kind::Over(Over::Min | Over::Max, ..) => "bucket_metric_value",
            Kind::Over(Over::Stats, ..) => "stats_bucket",
            Kind::Over(Over::ExtendedStats, ..) => "extended_stats_bucket",
            _ => "simple_value",
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The paths that it reads.
    pub(super) fn paths(&self) -> Vec<&str> {
        match &self.kind {
            Kind::Derivative(path, _)
            | Kind::SerialDiff(path, _)
            | Kind::CumulativeSum(path)
            | Kind::Over(_, path, _)
            | Kind::Moving { path, .. } => vec![path.as_str()],
            Kind::Script(paths, _) | Kind::Selector(paths, _) => paths.iter().map(String::as_str).collect(),
            Kind::Sort { by, .. } => by.iter().map(|(path, _)| path.as_str()).collect(),
        }
    }

    fn told(&self, mut members: Map<String, Value>) -> Value {
        self.meta.iter().for_each(|meta| drop(members.insert("meta".to_owned(), meta.clone())));
        Value::Object(members)
    }

    /// Adds to each of the buckets what it computes, or orders and chooses them.
    fn compute(&self, buckets: &mut Vec<(String, Value)>) {
        let values = |path: &str, gap: Gap| -> Vec<Option<f64>> { buckets.iter().map(|(_, b)| value_at(b, path, gap)).collect() };
        let simple = |value: f64| self.told(Map::from_iter([("value".to_owned(), figure(Some(value)))]));
        let mut found: Vec<Option<Value>> = Vec::with_capacity(buckets.len());
        match &self.kind {
            Kind::Derivative(path, unit) => {
                let values = values(path, self.gap);
                let at: Vec<Option<f64>> = buckets.iter().map(|(_, b)| b.get("key").and_then(Value::as_f64)).collect();
                for (n, value) in values.iter().enumerate() {
                    let before = n.checked_sub(1).map(|before| (values[before].unwrap_or(f64::NAN), at[before]));
                    found.push(before.zip(*value).map(|((last, last_at), value)| {
                        let mut told = Map::from_iter([("value".to_owned(), figure(Some(value - last)))]);
                        if let (Some(unit), Some(from), Some(to)) = (unit, last_at, at[n]) {
                            told.insert("normalized_value".to_owned(), figure(Some((value - last) / ((to - from) / unit))));
                        }
                        self.told(told)
                    }));
                }
            }
            Kind::SerialDiff(path, lag) => {
                let values = values(path, self.gap);
                for (n, value) in values.iter().enumerate() {
                    let before = n.checked_sub(*lag).and_then(|before| values[before]);
                    found.push(value.zip(before).map(|(value, before)| simple(value - before)));
                }
            }
            Kind::CumulativeSum(path) => {
                let mut sum = 0.0;
                for value in values(path, Gap::Zeros) {
                    sum += value.unwrap_or(0.0);
                    found.push(Some(simple(sum)));
                }
            }
            Kind::Moving { path, window, shift, function } => {
                let values = values(path, self.gap);
                let known: Vec<f64> = values.iter().copied().flatten().collect();
                let mut at = 0i64;
                for value in &values {
                    found.push(value.and_then(|_| {
                        let place = |n: i64| n.clamp(0, known.len() as i64) as usize;
                        let seen = &known[place(at - *window as i64 + shift)..place(at + shift)];
                        at += 1;
                        match function {
                            Function::Script(script) => Some(script.run(&[], seen)),
                            // Before the first value there is no mean of it.
                            _ if seen.is_empty() => None,
                            Function::Mean => Some(mean(seen)),
                            Function::Linear => Some(linear(seen)),
                            Function::Ewma(alpha) => Some(ewma(seen, *alpha)),
                            Function::Holt(alpha, beta) => Some(holt(seen, *alpha, *beta)),
                        }
                        .map(simple)
                    }));
                }
            }
            Kind::Script(paths, script) => {
                for (_, bucket) in buckets.iter() {
                    let given: Option<Vec<f64>> = paths.iter().map(|path| value_at(bucket, path, self.gap)).collect();
                    found.push(given.map(|given| simple(script.run(&given, &[]))));
                }
            }
            Kind::Selector(paths, script) => {
                buckets.retain(|(_, bucket)| {
                    let given = |path: &String| value_at(bucket, path, self.gap).unwrap_or(f64::NAN);
                    script.run(&paths.iter().map(given).collect::<Vec<_>>(), &[]) != 0.0
                });
                return;
            }
            Kind::Sort { by, from, size } => {
                if !by.is_empty() {
                    let key = |(_, bucket): &(String, Value)| -> Option<Vec<Order>> {
                        by.iter().map(|(path, _)| order_at(bucket, path, self.gap)).collect()
                    };
                    let all = std::mem::take(buckets);
                    let mut keyed: Vec<_> = all.into_iter().filter_map(|bucket| Some((key(&bucket)?, bucket))).collect();
                    keyed.sort_by(|(a, _), (b, _)| {
                        let each = a.iter().zip(b).zip(by).map(|((a, b), (_, descending))| match descending {
                            true => b.cmp(a),
                            false => a.cmp(b),
                        });
                        each.fold(std::cmp::Ordering::Equal, std::cmp::Ordering::then)
                    });
                    buckets.extend(keyed.into_iter().map(|(_, bucket)| bucket));
                }
                buckets.drain(..(*from).min(buckets.len()));
                buckets.truncate(*size);
                return;
            }
            Kind::Over(..) => return,
        }
        for ((_, bucket), value) in buckets.iter_mut().zip(found) {
            if let (Value::Object(bucket), Some(value)) = (bucket, value) {
                bucket.insert(self.name.clone(), value);
            }
        }
    }

    /// What it gives over the buckets of the aggregation beside it.
    fn over(&self, beside: &Map<String, Value>) -> Option<Value> {
        let Kind::Over(over, path, sigma) = &self.kind else { return None };
        let (of, within) = path.split_once('>').or_else(|| path.rsplit_once('.')).unwrap_or((path.as_str(), "_count"));
        let buckets: Vec<(String, &Value)> = match beside.get(of.trim())?.get("buckets")? {
            Value::Array(list) => list.iter().map(|bucket| (key_of(bucket), bucket)).collect(),
            Value::Object(map) => map.iter().map(|(key, bucket)| (key.clone(), bucket)).collect(),
            _ => return None,
        };
        let within = within.trim();
        let known: Vec<(String, f64)> =
            buckets.into_iter().filter_map(|(key, bucket)| Some((key, value_at(bucket, within, self.gap)?))).collect();
        let values: Vec<f64> = known.iter().map(|(_, n)| *n).collect();
        let sum: f64 = values.iter().sum();
        let mean = Some(sum / values.len() as f64).filter(|mean| mean.is_finite());
        let (min, max) = (values.iter().copied().reduce(f64::min), values.iter().copied().reduce(f64::max));
        let keys =
            |of: Option<f64>| known.iter().filter(|(_, n)| Some(*n) == of).map(|(key, _)| key.as_str()).collect::<Vec<_>>();
        let told = match over {
            Over::Mean => json!({"value": figure(mean)}),
            Over::Sum => json!({"value": figure(Some(sum))}),
            Over::Min => json!({"value": figure(min), "keys": keys(min)}),
            Over::Max => json!({"value": figure(max), "keys": keys(max)}),
            Over::Stats | Over::ExtendedStats => {
                let variance = mean.map(|mean| values.iter().map(|n| (n - mean) * (n - mean)).sum::<f64>() / values.len() as f64);
                let all = [
                    ("count", Some(values.len() as f64)),
                    ("min", min),
                    ("max", max),
                    ("avg", mean),
                    ("sum", Some(sum)),
                    ("sum_of_squares", Some(values.iter().map(|n| n * n).sum())),
                    ("variance", variance),
                    ("std_deviation", variance.map(f64::sqrt)),
                ];
                let all: BTreeMap<String, Option<f64>> = all.map(|(name, n)| (name.to_owned(), n)).into();
                stats(&all, Some(*sigma).filter(|_| *over == Over::ExtendedStats), None)
            }
        };
        match told {
            Value::Object(told) => Some(self.told(told)),
            _ => None,
        }
    }
}

/// Adds to the buckets of an answer what is computed within them, each after what it reads.
pub(super) fn within(pipelines: &[Pipeline], answer: &mut Value) {
    let mut left: Vec<&Pipeline> = pipelines.iter().filter(|p| !p.is_beside()).collect();
    if left.is_empty() {
        return;
    }
    let Some(told) = answer.get_mut("buckets") else { return };
    let (mut buckets, keyed) = match told.take() {
        Value::Array(list) => (list.into_iter().map(|bucket| (String::new(), bucket)).collect::<Vec<_>>(), false),
        Value::Object(map) => (map.into_iter().collect(), true),
        other => return *told = other,
    };
    // Whoever orders or chooses the buckets comes last, as there.
    left.sort_by_key(|p| matches!(p.kind, Kind::Selector(..) | Kind::Sort { .. }));
    while !left.is_empty() {
        let waits = |one: &Pipeline| {
            let on = |path: &str| left.iter().any(|other| other.name != one.name && begins(path, &other.name));
            one.paths().into_iter().any(on)
        };
        // Where they wait for each other there is nothing to wait for.
        let ready = left.iter().position(|one| !waits(one)).unwrap_or(0);
        left.remove(ready).compute(&mut buckets);
    }
    *told = match keyed {
        true => Value::Object(buckets.into_iter().collect()),
        false => buckets.into_iter().map(|(_, bucket)| bucket).collect(),
    };
}

/// Adds to answers what is computed beside them.
pub(super) fn beside(pipelines: &[Pipeline], answers: &mut Map<String, Value>) {
    for pipeline in pipelines.iter().filter(|p| p.is_beside()) {
        if let Some(told) = pipeline.over(answers) {
            answers.insert(pipeline.name.clone(), told);
        }
    }
}

/// Whether a path begins with the aggregation `name`.
pub(super) fn begins(path: &str, name: &str) -> bool {
    let first = path.split('>').next().unwrap_or(path).trim();
    first.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

/// Whether a path speaks of the bucket itself.
pub(super) fn is_own(path: &str) -> bool {
    matches!(path, "_count" | "_key")
}

fn spend(values: &mut usize, count: usize) -> Read<()> {
    let left = values.checked_sub(count);
    *values = left.ok_or_else(|| Fault::illegal(format!("each bucket is computed from {VALUES_MAX} values at most")))?;
    Ok(())
}

/// `1s`, or a unit of the calendar as long as it is as a rule, in milliseconds.
fn span_of(unit: &str) -> Option<f64> {
    let days = |days: f64| Some(days * 86_400_000.0);
    match unit {
        "second" => Some(1000.0),
        "minute" => Some(60_000.0),
        "hour" => Some(3_600_000.0),
        "day" => days(1.0),
        "week" | "1w" => days(7.0),
        "month" | "1M" => days(30.0),
        "quarter" | "1q" => days(90.0),
        "year" | "1y" => days(365.0),
        unit => span_ns(unit).filter(|ns| *ns > 0).map(|ns| ns as f64 / 1e6),
    }
}

fn path_of(members: &mut Members) -> Read<String> {
    match members.required("buckets_path")? {
        Value::String(path) => Ok(path),
        Value::Array(list) if list.len() == 1 => text_of(&list[0]).ok_or_else(|| Fault::parsing("[buckets_path] is a text")),
        _ => Err(Fault::parsing("[buckets_path] is one path")),
    }
}

/// The paths of a script, by name.
fn paths_of(members: &mut Members) -> Read<(Vec<String>, Vec<String>)> {
    let (mut names, mut paths) = (Vec::new(), Vec::new());
    let mut add = |name: String, path: &Value| {
        names.push(name);
        paths.push(text_of(path).ok_or_else(|| Fault::parsing("[buckets_path] are texts by name"))?);
        Ok::<(), Fault>(())
    };
    match members.required("buckets_path")? {
        Value::Object(map) => map.iter().try_for_each(|(name, path)| add(name.clone(), path))?,
        Value::Array(list) => list.iter().enumerate().try_for_each(|(n, path)| add(format!("_value{n}"), path))?,
        path => add("_value".to_owned(), &path)?,
    }
    if paths.len() > PATHS_MAX {
        return Err(Fault::illegal(format!("[buckets_path] has {PATHS_MAX} paths at most")));
    }
    Ok((names, paths))
}

fn script_of(members: &mut Members, names: &[String], moving: bool) -> Read<Script> {
    let mut constants = Vec::new();
    let mut add = |given: Option<Value>| match given {
        None => Ok::<(), Fault>(()),
        Some(given) => Members::new("params", given)?.rest().into_iter().try_for_each(|(name, value)| {
            let number = number_of(&value).ok_or_else(|| Fault::illegal(format!("[params] [{name}] is no number")))?;
            constants.push((name, number));
            Ok(())
        }),
    };
    let text = match members.required("script")? {
        Value::String(text) => text,
        script => {
            let mut script = Members::new("script", script)?;
            let text = script.text("source")?.or(script.text("inline")?);
            add(script.take("params"))?;
            script.ignore(&["lang", "options"]);
            script.finish()?;
            text.ok_or_else(|| Fault::parsing("[script] requires [source]"))?
        }
    };
    add(members.take("params"))?;
    Script::read(&text, names, &constants, moving)
}

fn moving(with_script: bool, members: &mut Members, values: &mut usize) -> Read<Kind> {
    let path = path_of(members)?;
    let window = members.count("window")?.unwrap_or(5).max(1);
    if with_script {
        let shift = members.number("shift")?.unwrap_or(0.0) as i64;
        let script = script_of(members, &[], true)?;
        spend(values, window.saturating_mul(script.windows()))?;
        let shift = shift.clamp(-(u32::MAX as i64), u32::MAX.into());
        return Ok(Kind::Moving { path, window, shift, function: Function::Script(script) });
    }
    spend(values, window)?;
    let model = members.text("model")?.unwrap_or_else(|| "simple".to_owned());
    members.fits("predict", |predict| *predict == 0)?;
    members.fits("minimize", |minimize| *minimize == false)?;
    let settings = members.take("settings").unwrap_or_else(|| json!({}));
    let setting = |name: &str, usual: f64| settings.get(name).and_then(number_of).unwrap_or(usual);
    let function = match model.as_str() {
        "simple" => Function::Mean,
        "linear" => Function::Linear,
        "ewma" => Function::Ewma(setting("alpha", 0.3)),
        "holt" => Function::Holt(setting("alpha", 0.3), setting("beta", 0.1)),
        other => return Err(Fault::illegal(format!("[moving_avg] of the model [{other}] is not supported"))),
    };
    Ok(Kind::Moving { path, window, shift: 0, function })
}

fn sort_of(members: &mut Members) -> Read<Kind> {
    let (from, size) = (members.count("from")?.unwrap_or(0), members.count("size")?.unwrap_or(usize::MAX));
    let mut by = Vec::new();
    for sort in members.take("sort").map_or_else(Vec::new, list_of) {
        if let Value::String(path) = sort {
            by.push((path, false));
            continue;
        }
        for (path, order) in Members::new("sort", sort)?.rest() {
            match order.get("order").unwrap_or(&order).as_str() {
                Some("asc") => by.push((path, false)),
                Some("desc") => by.push((path, true)),
                _ => return Err(Fault::parsing("[order] is [asc] or [desc]")),
            }
        }
    }
    Ok(Kind::Sort { by, from, size })
}

/// A value of a bucket, by its path; none where there is none, or the bucket is empty and what is without hits is left out.
fn value_at(bucket: &Value, path: &str, gap: Gap) -> Option<f64> {
    let value = number_at(bucket, path).filter(|n| n.is_finite());
    let empty = bucket.get("doc_count").is_some_and(|count| *count == 0) && !path.ends_with("_count") && !path.ends_with("_key");
    match gap {
        Gap::Skip => value.filter(|_| !empty),
        Gap::Zeros => Some(value.filter(|_| !empty).unwrap_or(0.0)),
        Gap::Keep => value,
    }
}

/// What buckets are ordered by.
#[derive(Eq, Ord, PartialEq, PartialOrd)]
enum Order {
    Number(u64),
    Text(String),
}

fn order_at(bucket: &Value, path: &str, gap: Gap) -> Option<Order> {
    // In the order of numbers.
    let bits = |n: f64| n.to_bits() ^ if n.is_sign_negative() { u64::MAX } else { 1 << 63 };
    match bucket.get("key") {
        Some(Value::String(key)) if path == "_key" => Some(Order::Text(key.clone())),
        _ => value_at(bucket, path, gap).map(|n| Order::Number(bits(n))),
    }
}

fn key_of(bucket: &Value) -> String {
    let key = bucket.get("key_as_string").or_else(|| bucket.get("key"));
    key.and_then(text_of).unwrap_or_default()
}

fn number_at(bucket: &Value, path: &str) -> Option<f64> {
    let (mut at, mut rest) = (bucket, path);
    while let Some((segment, behind)) = rest.split_once('>') {
        let segment = segment.trim();
        at = match (at.get(segment), segment.split_once("['")) {
            (Some(inner), _) => inner,
            // `by_user['taro']>bytes`: one of the buckets.
            (None, Some((name, key))) => {
                let key = key.strip_suffix("']")?;
                match at.get(name)?.get("buckets")? {
                    Value::Array(list) => list.iter().find(|bucket| key_of(bucket) == key)?,
                    buckets => buckets.get(key)?,
                }
            }
            (None, None) => return None,
        };
        rest = behind;
    }
    let last = rest.trim();
    match last {
        "_count" => return at.get("doc_count")?.as_f64(),
        "_key" => return at.get("key")?.as_f64(),
        _ => {}
    }
    if let Some(whole) = at.get(last) {
        return whole.get("value")?.as_f64();
    }
    let (name, figure) = match last.split_once('[') {
        Some((name, figure)) => (name, figure.trim_end_matches(']')),
        // A percentile has a dot itself: `1.99.0`.
        None => {
            last.match_indices('.').map(|(dot, _)| (&last[..dot], &last[dot + 1..])).find(|(name, _)| at.get(*name).is_some())?
        }
    };
    let whole = at.get(name)?;
    match figure {
        "_count" => whole.get("doc_count")?.as_f64(),
        "_bucket_count" => match whole.get("buckets")? {
            Value::Array(list) => Some(list.len() as f64),
            Value::Object(map) => Some(map.len() as f64),
            _ => None,
        },
        figure => {
            let percent: Option<f64> = figure.parse().ok();
            let same = |text: &str| percent.is_some() && text.parse().ok() == percent;
            match whole.get("values") {
                Some(Value::Object(values)) => values.iter().find(|(key, _)| same(key))?.1.as_f64(),
                Some(Value::Array(list)) => {
                    list.iter().find(|one| one.get("key").and_then(Value::as_f64) == percent)?.get("value")?.as_f64()
                }
                _ => whole.get(figure)?.as_f64(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buckets() -> Value {
        let bucket = |n: i64, count: u64, sum: Value| json!({"key": n * 1000, "doc_count": count, "s": {"value": sum}});
        json!({"buckets": [
            bucket(0, 4, json!(10.0)),
            bucket(1, 0, Value::Null),
            bucket(2, 6, json!(16.0)),
            bucket(3, 2, json!(22.0)),
        ]})
    }

    /// What a pipeline of this kind gives for each bucket.
    fn computed(kind: &str, body: &Value) -> Value {
        let mut left = VALUES_MAX;
        let pipeline = Pipeline::read("p", kind, body, &mut left).expect("reads").expect("is known");
        let mut answer = buckets();
        within(&[pipeline], &mut answer);
        let value = |bucket: &Value| bucket.get("p").map_or(json!("-"), |p| p["value"].clone());
        answer["buckets"].as_array().expect("a list").iter().map(value).collect()
    }

    #[test]
    fn values_go_from_bucket_to_bucket() {
        for (kind, body, expected) in [
            ("derivative", json!({"buckets_path": "_count"}), json!(["-", -4.0, 6.0, -4.0])),
            ("derivative", json!({"buckets_path": "s"}), json!(["-", "-", null, 6.0])),
            ("derivative", json!({"buckets_path": "s", "gap_policy": "insert_zeros"}), json!(["-", -10.0, 16.0, 6.0])),
            ("serial_diff", json!({"buckets_path": "s", "lag": 2}), json!(["-", "-", 6.0, "-"])),
            ("cumulative_sum", json!({"buckets_path": "s"}), json!([10.0, 10.0, 26.0, 48.0])),
            ("cumulative_sum", json!({"buckets_path": "_count"}), json!([4.0, 4.0, 10.0, 12.0])),
            (
                "moving_fn",
                json!({"buckets_path": "_count", "window": 2, "script": "MovingFunctions.unweightedAvg(values)"}),
                json!([null, 4.0, 2.0, 3.0]),
            ),
            (
                "moving_fn",
                json!({"buckets_path": "s", "window": 2, "shift": 1, "script": {"source": "MovingFunctions.max(values)"}}),
                json!([10.0, "-", 16.0, 22.0]),
            ),
            ("moving_avg", json!({"buckets_path": "s", "window": 2}), json!(["-", "-", 10.0, 13.0])),
            (
                "moving_avg",
                json!({"buckets_path": "s", "model": "ewma", "settings": {"alpha": 0.5}}),
                json!(["-", "-", 10.0, 13.0]),
            ),
            (
                "bucket_script",
                json!({"buckets_path": {"a": "s", "b": "_count"}, "script": "params.a / params.b"}),
                json!([2.5, "-", 16.0 / 6.0, 11.0]),
            ),
            (
                "bucket_script",
                json!({"buckets_path": {"a": "s"}, "script": {"source": "params.a * params.k", "params": {"k": 2}}, "gap_policy": "insert_zeros"}),
                json!([20.0, 0.0, 32.0, 44.0]),
            ),
        ] {
            assert_eq!(computed(kind, &body), expected, "{kind} {body}");
        }
    }

    #[test]
    fn buckets_are_chosen_and_ordered_after_all_else() {
        let mut left = VALUES_MAX;
        let mut read =
            |name: &str, kind: &str, body: Value| Pipeline::read(name, kind, &body, &mut left).expect("reads").expect("is known");
        let pipelines = [
            read("chosen", "bucket_selector", json!({"buckets_path": {"d": "d"}, "script": "params.d > -5"})),
            read("sorted", "bucket_sort", json!({"sort": [{"_count": {"order": "desc"}}], "size": 2})),
            read("twice", "derivative", json!({"buckets_path": "d", "unit": "500ms"})),
            read("d", "derivative", json!({"buckets_path": "_count", "unit": "1s"})),
        ];
        let mut answer = buckets();
        within(&pipelines, &mut answer);
        let told = answer["buckets"].as_array().expect("a list");
        assert_eq!(told.iter().map(|b| b["doc_count"].clone()).collect::<Value>(), json!([6, 2]), "{told:?}");
        assert_eq!(told[0]["d"], json!({"value": 6.0, "normalized_value": 6.0}));
        // The bucket before is empty, which is a gap; and it was there when this was computed.
        assert_eq!(told[0]["twice"], json!({"value": null, "normalized_value": null}));
        assert_eq!(told[1]["twice"]["normalized_value"], json!(-5.0));
    }

    #[test]
    fn figures_are_told_over_all_buckets() {
        let answers = json!({"h": buckets(), "keyed": {"buckets": {"x": {"doc_count": 1}, "y": {"doc_count": 3}}}});
        for (kind, path, expected) in [
            ("avg_bucket", "h>s", json!({"value": 16.0})),
            ("sum_bucket", "h>_count", json!({"value": 12.0})),
            ("min_bucket", "h>s", json!({"value": 10.0, "keys": ["0"]})),
            ("max_bucket", "keyed>_count", json!({"value": 3.0, "keys": ["y"]})),
            ("stats_bucket", "h>s", json!({"count": 3, "min": 10.0, "max": 22.0, "avg": 16.0, "sum": 48.0})),
        ] {
            let pipeline = Pipeline::read("p", kind, &json!({"buckets_path": path}), &mut VALUES_MAX.clone())
                .expect("reads")
                .expect("is known");
            let mut all = answers.as_object().expect("an object").clone();
            beside(&[pipeline], &mut all);
            assert_eq!(all["p"], expected, "{kind}");
        }
    }

    #[test]
    fn paths_lead_into_what_lies_within() {
        let bucket = json!({"key": 5, "doc_count": 9, "1": {"values": {"99.0": 7.0}}, "2": {"std_deviation": 2.0, "avg": 3.0},
            "f": {"doc_count": 4, "m": {"value": 8.0}}, "t": {"buckets": [{"key": "a", "doc_count": 3, "m": {"value": 1.0}}]}});
        for (path, expected) in [
            ("_count", Some(9.0)),
            ("_key", Some(5.0)),
            ("1[99.0]", Some(7.0)),
            ("1.99", Some(7.0)),
            ("2[std_deviation]", Some(2.0)),
            ("2.avg", Some(3.0)),
            ("f>m", Some(8.0)),
            ("f>_count", Some(4.0)),
            ("f._count", Some(4.0)),
            ("t._bucket_count", Some(1.0)),
            ("t['a']>m", Some(1.0)),
            ("t['b']>m", None),
            ("nope", None),
            ("2", None),
        ] {
            assert_eq!(number_at(&bucket, path), expected, "{path}");
        }
    }

    #[test]
    fn what_would_take_too_much_is_refused() {
        let script = "MovingFunctions.max(values)+MovingFunctions.min(values)";
        for (kind, body) in [
            ("moving_fn", json!({"buckets_path": "s", "window": 1500, "script": script})),
            ("moving_avg", json!({"buckets_path": "s", "window": 2001})),
            ("serial_diff", json!({"buckets_path": "s", "lag": 1e9})),
            ("moving_avg", json!({"buckets_path": "s", "model": "holt_winters"})),
            ("derivative", json!({"buckets_path": "s", "unit": "1x"})),
            ("derivative", json!({"buckets_path": "s", "gap_policy": "x"})),
            ("derivative", json!({})),
            ("bucket_script", json!({"buckets_path": {"a": "s"}, "script": "while (true) {}"})),
        ] {
            assert!(Pipeline::read("p", kind, &body, &mut VALUES_MAX.clone()).is_err(), "{kind} {body}");
        }
        assert!(Pipeline::read("p", "terms", &json!({}), &mut 0).expect("reads").is_none());
    }
}
