//! Which reader is asked about which record.
//!
//! ```text
//!  record ─▶ own time first? ─▶ stamped[byte]      readers of lines that begin with their own time, on the whole record
//!         ─▶ header ─▶ program's name ─▶ apps      then lines that no program's name leads to: json[key], first[byte]
//!                                       claims      then a program's own format for what it says besides
//!                                       last[byte]  and what names its fields itself: JSON, key=value
//! ```
//!
//! Each table gives the few readers that a record may belong to, by its first byte and the pairs of bytes that it holds, so the cost of a
//! record does not grow with the number of formats.

use event::{FieldId, FormatId, LogSource, LogSourceId, RowBuilder};
use hashbrown::HashMap;

use super::Reader;
use super::structured::{self, Known, Object};
use crate::decode::describe::{self, FirstTime, Library};
use crate::decode::grams::{Grams, Needed, Rarity, Waiting};
use crate::decode::names::Names;
use crate::decode::record::ByPath;
use crate::decode::syslog::{self, Header};
use crate::decode::text::Context;

/// Which records are worth asking a reader about.
#[derive(Clone, Debug)]
pub(in crate::decode) struct Recognise {
    apps: Vec<String>,
    first: Vec<bool>,
    json: Vec<String>,
    stamped: bool,
    bare: bool,
    rank: u8,
}

impl Recognise {
    /// The rank of readers that take what names its fields itself, whoever wrote it.
    pub(in crate::decode) const LAST: u8 = 9;

    /// No record at all, before more is said.
    pub(in crate::decode) fn new() -> Recognise {
        Recognise { apps: Vec::new(), first: vec![false; 256], json: Vec::new(), stamped: false, bare: true, rank: 5 }
    }

    /// Records of a program (the syslog header's tag without its folder, in any case); `name/*` stands for all that begin so.
    pub(in crate::decode) fn app(mut self, name: &str) -> Recognise {
        self.apps.push(name.to_ascii_lowercase());
        self
    }

    /// Messages that begin as `literal` does.
    pub(in crate::decode) fn starts(mut self, literal: &str) -> Recognise {
        self.first[usize::from(literal.as_bytes()[0])] = true;
        self
    }

    /// Any message.
    pub(in crate::decode) fn anything(mut self) -> Recognise {
        self.first = vec![true; 256];
        self
    }

    /// Lines that begin with their own time: they are looked at before a syslog header is.
    pub(in crate::decode) fn stamped(mut self) -> Recognise {
        self.stamped = true;
        self
    }

    /// Readers of a lower rank are asked first; 5 is the usual one.
    pub(in crate::decode) fn rank(mut self, rank: u8) -> Recognise {
        self.rank = rank;
        self
    }
}

impl Reader for describe::Reader {
    fn names(&self) -> Vec<&'static str> {
        let plan = self.plan();
        [plan.name].into_iter().chain(plan.also.iter().copied()).collect()
    }

    fn recognise(&self) -> Recognise {
        let plan = self.plan();
        let mut recognise = Recognise::new().rank(plan.rank);
        recognise.apps = plan.apps.iter().map(|app| app.to_ascii_lowercase()).collect();
        recognise.json = plan.json_keys().map(str::to_owned).collect();
        recognise.first = (0..=255).map(|byte| plan.may_begin_with(byte)).collect();
        recognise.stamped = plan.bare && plan.is_stamped();
        recognise.bare = plan.bare;
        recognise
    }

    fn needs(&self, byte: u8, _rarity: &Rarity) -> Vec<Needed> {
        self.plan().needs(byte)
    }

    fn read(&mut self, context: &Context<'_>, row: &mut RowBuilder<'_>) -> bool {
        describe::Reader::read(self, None, context, row)
    }

    fn read_object(&mut self, object: &mut Object<'_>, context: &Context<'_>, row: &mut RowBuilder<'_>) -> bool {
        describe::Reader::read(self, Some(object), context, row)
    }

    fn claim(&mut self, context: &Context<'_>, row: &mut RowBuilder<'_>) -> bool {
        describe::Reader::claim(self, context, row)
    }
}

/// Numbers of readers, for each byte that a text may begin with.
type ByByte = Vec<Vec<u16>>;

/// The same, and what each reader needs besides.
struct Shortlists {
    /// For each byte a place in `lists`: most bytes share one.
    by_byte: Vec<u16>,
    lists: Vec<Waiting>,
}

impl Shortlists {
    fn new(numbers: &ByByte, readers: &[Box<dyn Reader>], rarity: &Rarity) -> Shortlists {
        let mut lists: Vec<Waiting> = Vec::new();
        let by_byte = numbers.iter().zip(0..=255).map(|(numbers, byte)| {
            let list = Waiting::new(numbers.iter().map(|number| (*number, readers[usize::from(*number)].needs(byte, rarity))));
            let at = lists.iter().position(|other| *other == list).unwrap_or_else(|| {
                lists.push(list);
                lists.len() - 1
            });
            at as u16
        });
        Shortlists { by_byte: by_byte.collect(), lists }
    }

    /// Asks the readers that a record with a text of this first byte may belong to, in their order. `found` has a bit for each reader.
    fn ask(
        &self,
        byte: u8,
        readers: &mut [Box<dyn Reader>],
        found: &mut [u64],
        context: &Context<'_>,
        row: &mut RowBuilder<'_>,
    ) -> bool {
        found.fill(0);
        self.lists[usize::from(self.by_byte[usize::from(byte)])].find(context.grams(), found);
        for (word, bits) in found.iter().enumerate() {
            let mut bits = *bits;
            while bits != 0 {
                let number = word * 64 + bits.trailing_zeros() as usize;
                bits &= bits - 1;
                if readers[number].read(context, row) {
                    return true;
                }
            }
        }
        false
    }
}

/// Readers of JSON records by the outermost keys, of which a record has one of theirs.
struct ByOutermost {
    numbers: HashMap<String, u16>,
    lists: Vec<Vec<u16>>,
    /// The number of the list of each path.
    known: ByPath<Option<u16>>,
}

/// Readers that a record's keys lead to at most.
const ASKED_MAX: usize = 16;

impl ByOutermost {
    fn new(by_key: HashMap<String, Vec<u16>>) -> ByOutermost {
        let (keys, lists): (Vec<_>, Vec<_>) = by_key.into_iter().unzip();
        ByOutermost { numbers: keys.into_iter().zip(0..).collect(), lists, known: ByPath::default() }
    }

    /// The numbers of the readers that the object's keys lead to, in the order of ranks.
    fn find<'f>(&mut self, structured: &structured::Reader, found: &'f mut [u16; ASKED_MAX]) -> &'f [u16] {
        let ByOutermost { numbers, lists, known } = self;
        let mut count = 0;
        let (keys, paths) = structured.paths();
        for path in paths {
            let list = known.of(keys, path, || numbers.get(structured::outermost_of(keys.name(path))).copied());
            for number in list.into_iter().flat_map(|list| &lists[usize::from(list)]) {
                if count < ASKED_MAX && !found[..count].contains(number) {
                    found[count] = *number;
                    count += 1;
                }
            }
        }
        found[..count].sort_unstable();
        &found[..count]
    }
}

/// Every reader, and the tables that lead to them.
pub(in crate::decode) struct Registry {
    readers: Vec<Box<dyn Reader>>,
    names: HashMap<&'static str, u16>,
    apps: HashMap<String, Vec<u16>>,
    json: ByOutermost,
    stamped: Shortlists,
    /// Readers that no program's name leads to; for records without one, also those of `bare` descriptions.
    first: Shortlists,
    first_bare: Shortlists,
    last: ByByte,
    app: String,
    /// A bit for each reader: who may be meant by the record at hand.
    found: Vec<u64>,
    structured: structured::Reader,
    /// The fields of a syslog header's structured data.
    parameters: Names,
    parameter: String,
    syslog: FormatId,
    linux_syslog: LogSourceId,
    /// Whether the record at hand stood within another one.
    within: bool,
}

/// The number of the reader of JSON among the readers' names: it stands apart, since every JSON record is its business.
const STRUCTURED: u16 = u16::MAX;

impl Registry {
    pub(in crate::decode) fn new(library: &Library) -> Registry {
        let mut structured = structured::Reader::new();
        let mut readers = super::programmed();
        for plan in library.plans.iter().filter(|plan| !plan.is_only_cases()) {
            readers.retain(|reader| !reader.names().contains(&plan.name));
            readers.push(Box::new(describe::Reader::new(plan, structured.keys())));
        }
        readers.sort_by_cached_key(|reader| (reader.recognise().rank, reader.names()[0]));
        let by_byte = || vec![Vec::new(); 256];
        let (mut stamped_by_byte, mut first_by_byte, mut first_bare_by_byte) = (by_byte(), by_byte(), by_byte());
        let (mut names, mut apps_of, mut json_of, mut last) = (HashMap::new(), HashMap::new(), HashMap::new(), by_byte());
        for name in structured.names() {
            names.insert(name, STRUCTURED);
        }
        for (number, reader) in readers.iter().enumerate() {
            let number = number as u16;
            for name in reader.names() {
                names.insert(name, number);
            }
            let Recognise { apps, first, json, stamped, bare, rank } = reader.recognise();
            for byte in (0..256).filter(|byte| first[*byte]) {
                if stamped {
                    stamped_by_byte[byte].push(number);
                }
                if rank >= Recognise::LAST {
                    last[byte].push(number);
                } else if bare {
                    first_bare_by_byte[byte].push(number);
                    if apps.is_empty() {
                        first_by_byte[byte].push(number);
                    }
                }
            }
            for app in apps {
                apps_of.entry(app).or_insert_with(Vec::new).push(number);
            }
            for key in json {
                let numbers = json_of.entry(key).or_insert_with(Vec::new);
                if !numbers.contains(&number) {
                    numbers.push(number);
                }
            }
        }
        Registry {
            names,
            apps: apps_of,
            json: ByOutermost::new(json_of),
            stamped: Shortlists::new(&stamped_by_byte, &readers, &library.rarity),
            first: Shortlists::new(&first_by_byte, &readers, &library.rarity),
            first_bare: Shortlists::new(&first_bare_by_byte, &readers, &library.rarity),
            last,
            app: String::new(),
            found: vec![0; readers.len().div_ceil(64)],
            readers,
            structured,
            parameters: Names::new("log.syslog.structured_data."),
            parameter: String::new(),
            syslog: FormatId::known("syslog"),
            linux_syslog: LogSourceId::intern(LogSource { product: Some("linux"), category: None, service: Some("syslog") }),
            within: false,
        }
    }

    /// Writes what the record's syslog header says.
    pub(in crate::decode) fn write_header(&mut self, context: &Context<'_>, row: &mut RowBuilder<'_>) {
        let h = &context.header;
        syslog::write_priority(h.priority, row);
        for (field, part) in [
            (FieldId::SYSLOG_HOSTNAME, h.host),
            (FieldId::HOST_NAME, h.host),
            (FieldId::PROCESS_NAME, h.app),
            (FieldId::SYSLOG_MSGID, h.msgid),
        ] {
            if let Some(part) = part {
                row.text(field, part);
            }
        }
        if let Some(version) = h.version {
            row.int(FieldId::SYSLOG_VERSION, i64::from(version));
        }
        match h.procid.map(|p| (p, p.parse::<i64>())) {
            Some((_, Ok(pid))) => row.int(FieldId::PROCESS_PID, pid),
            Some((text, Err(_))) => row.text(FieldId::SYSLOG_PROCID, text),
            None => {}
        }
        if let Some(structured) = h.structured {
            for parameter in syslog::parameters(structured) {
                self.parameter.clear();
                self.parameter.extend([parameter.id, ".", parameter.name]);
                if let Some(field) = self.parameters.field(&self.parameter) {
                    row.text(field, &parameter.value());
                }
            }
        }
        context.set_time(row, h.stamp);
    }

    /// Reads the record as `pin`, where `claims` also if no line of it fits. None where there is no such format.
    pub(in crate::decode) fn read_as(
        &mut self,
        pin: &str,
        context: &Context<'_>,
        claims: bool,
        row: &mut RowBuilder<'_>,
    ) -> Option<bool> {
        let number = *self.names.get(pin)?;
        if number == STRUCTURED {
            return Some(match self.structured.read_known(context, row) {
                Known::No => false,
                Known::Written => true,
                Known::Plain => {
                    self.structured.write_plain(context, row);
                    true
                }
            });
        }
        let reader = &mut self.readers[usize::from(number)];
        Some(reader.read(context, row) || claims && reader.claim(context, row))
    }

    /// Reads a record that begins with its own time, before anybody took that for a syslog header's. False where it is none.
    pub(in crate::decode) fn read_stamped(&mut self, context: &Context<'_>, row: &mut RowBuilder<'_>) -> bool {
        let Some(byte) = context.header.message.bytes().next() else { return false };
        let Registry { readers, stamped, found, .. } = self;
        stamped.ask(byte, readers, found, context, row)
    }

    /// Whether some reader reads what this program logs.
    pub(in crate::decode) fn knows(&mut self, app: &str) -> bool {
        by_app(&self.apps, &mut self.app, app).is_some()
    }

    /// Reads the record as the first format whose structure it has. False where it has none.
    pub(in crate::decode) fn read(&mut self, context: &Context<'_>, row: &mut RowBuilder<'_>) -> bool {
        match self.read_told(context, row) {
            Known::Written => true,
            Known::Plain => {
                if !self.read_held(context, row) {
                    self.structured.write_plain(context, row);
                }
                true
            }
            Known::No => {
                self.read_behind_words(context, row)
                    || self.read_passed_on(context, row)
                    || context.header.message.trim_start().bytes().next().is_some_and(|byte| {
                        let last = &self.last[usize::from(byte)];
                        last.iter().any(|number| self.readers[usize::from(*number)].read(context, row))
                    })
            }
        }
    }

    /// Reads the record where it is of a format that is known. An object of none is left in `structured`.
    fn read_told(&mut self, context: &Context<'_>, row: &mut RowBuilder<'_>) -> Known {
        let message = context.header.message.trim_start();
        let mut known = Known::No;
        if message.starts_with(['{', '@']) {
            known = self.structured.read_known(context, row);
            if known == Known::Written || known == Known::Plain && self.read_within(context, row) {
                return Known::Written;
            }
        }
        let Registry { readers, apps, app, first, first_bare, json, structured, found, .. } = self;
        let mut asked = [u16::MAX; ASKED_MAX];
        let asked = if known == Known::Plain { json.find(structured, &mut asked) } else { &[] };
        let mut object = (known == Known::Plain).then(|| structured.object(context)).flatten();
        let mut ask = |numbers: &[u16], row: &mut RowBuilder<'_>| {
            numbers.iter().any(|number| match &mut object {
                Some(object) => readers[usize::from(*number)].read_object(object, context, row),
                None => readers[usize::from(*number)].read(context, row),
            })
        };
        let own = context.header.app.and_then(|name| by_app(apps, app, name));
        if own.is_some_and(|numbers| ask(numbers, row)) {
            return Known::Written;
        }
        let byte = message.bytes().next();
        if known == Known::Plain {
            return if ask(asked, row) { Known::Written } else { Known::Plain };
        }
        let table = if context.header.app.is_some() { first } else { first_bare };
        if byte.is_some_and(|byte| table.ask(byte, readers, found, context, row)) {
            return Known::Written;
        }
        if own.into_iter().flatten().any(|number| readers[usize::from(*number)].claim(context, row)) {
            super::guess(message, row); // No line fits it: what it says plainly is better than nothing.
            return Known::Written;
        }
        Known::No
    }
}

/// Records within records: once, not again within that.
impl Registry {
    /// The line of a program within a record of what carries it (a container's log as JSON).
    fn read_within(&mut self, context: &Context<'_>, row: &mut RowBuilder<'_>) -> bool {
        if self.within {
            return false;
        }
        let Some((memory, length)) = self.structured.take_line(context) else { return false };
        let (line, program) = memory.split_at(length);
        let mark = row.mark();
        self.within = true;
        let bare = Header { message: line, ..Header::default() };
        let inner = Context { header: bare, record: line, ..within(context) };
        self.structured.write_carrier(context, row);
        let header = syslog::header(line);
        // A program that is known writes what it writes, as behind a syslog header.
        let is_known = self.knows(header.app.unwrap_or(program));
        let mut read = !is_known && self.read_stamped(&inner, row);
        if !read {
            row.rewind(mark);
            let is_bare = header.app.is_none() && header.stamp.is_none() && header.priority.is_none();
            let header = if is_bare { Header { app: Some(program).filter(|name| !name.is_empty()), ..bare } } else { header };
            let inner = Context { header, ..within(&inner) };
            self.write_header(&inner, row);
            self.structured.write_carrier(context, row);
            inner.set_time(row, header.stamp);
            read = self.read(&inner, row);
            let is_syslog = header.priority.is_some() || header.stamp.is_some() && header.host.is_some() && header.app.is_some();
            if !read && is_syslog {
                self.write_unknown(&inner, row);
                read = true;
            }
        }
        self.within = false;
        if !read {
            row.rewind(mark);
            // What lay within may have been JSON of no format: the record that carries it is read again.
            self.structured.read_known(context, row);
        }
        self.structured.keep_line(memory);
        read
    }

    /// The object of a format that is known within one of what carries it (`{"detail-type":"..","detail":{..}}`).
    fn read_held(&mut self, context: &Context<'_>, row: &mut RowBuilder<'_>) -> bool {
        if self.within {
            return false;
        }
        let Some((key, object)) = structured::held(context.header.message) else { return false };
        let mark = row.mark();
        self.within = true;
        self.structured.write_around(context, key, row);
        let header = Header { message: object, ..context.header };
        let read = self.read_told(&Context { header, ..within(context) }, row) == Known::Written;
        self.within = false;
        if !read {
            row.rewind(mark);
            self.structured.read_known(context, row);
        }
        read
    }

    /// The object behind a few words.
    fn read_behind_words(&mut self, context: &Context<'_>, row: &mut RowBuilder<'_>) -> bool {
        if self.within {
            return false;
        }
        let Some((lead, object)) = structured::behind_words(context.header.message) else { return false };
        let header = Header { message: object, ..context.header };
        let mark = row.mark();
        let beginning = super::beginning(lead);
        context.set_time(row, beginning.map(|(stamp, _)| stamp));
        self.within = true;
        let read = self.read(&Context { header, ..within(context) }, row);
        self.within = false;
        if read {
            let own = || context.header.stamp.and_then(|_| super::level(lead)); // Where the header has the time.
            if let Some(level) = beginning.and_then(|(_, level)| level).or_else(own).filter(|_| !row.has(FieldId::LOG_LEVEL)) {
                row.text(FieldId::LOG_LEVEL, level);
            }
            super::outcome(lead, row);
        } else {
            row.rewind(mark);
        }
        read
    }

    /// A line with a header or a time of its own behind the syslog header of what passed it on, as a program that is known writes it.
    fn read_passed_on(&mut self, context: &Context<'_>, row: &mut RowBuilder<'_>) -> bool {
        let line = context.header.message.trim_start();
        let is_relays = context.header.app.is_none() && line.len() < context.record.len();
        if self.within || !is_relays || !syslog::begins_with_time(line) {
            return false;
        }
        self.within = true;
        let bare = Context { header: Header { message: line, ..Header::default() }, record: line, ..within(context) };
        let mut read = self.read_stamped(&bare, row);
        if !read {
            let header = syslog::header(line);
            let mark = row.mark();
            let inner = Context { header, ..within(&bare) };
            inner.set_time(row, header.stamp);
            read = header.stamp.is_some() && self.read_told(&inner, row) == Known::Written;
            if !read {
                row.rewind(mark);
            }
        }
        self.within = false;
        read
    }

    /// Writes what a text behind a syslog header says, of which nothing more is known.
    pub(in crate::decode) fn write_unknown(&self, context: &Context<'_>, row: &mut RowBuilder<'_>) {
        let message = context.header.message;
        row.format(self.syslog);
        if context.header.app.is_some() {
            row.log_source(self.linux_syslog);
        }
        if !row.has(FieldId::MESSAGE) {
            row.text(FieldId::MESSAGE, message);
        }
        if let Some((_, Some(level))) = super::beginning(message) {
            row.text(FieldId::LOG_LEVEL, level);
        } else if let Some(level) = super::level(message)
            && (message.starts_with('[') || level.bytes().all(|b| b.is_ascii_uppercase()))
        {
            row.text(FieldId::LOG_LEVEL, level);
        }
        super::guess(message, row);
        // Whose it is may stand in the header's structured data.
        if context.header.structured.is_some() && (row.has(FieldId::USER_NAME) || row.has(FieldId::SOURCE_IP)) {
            super::outcome(message, row);
        }
    }
}

/// The same for a text within the record: what is remembered of the record's own is not of that.
fn within<'a>(context: &Context<'a>) -> Context<'a> {
    Context { grams: Grams::new(), first_time: FirstTime::default(), ..*context }
}

/// How the folders of programs begin.
const PROGRAM_FOLDERS: [&str; 12] = [
    "/usr/",
    "/bin/",
    "/sbin/",
    "/opt/",
    "/lib",
    "/etc/",
    "/var/",
    "/snap/",
    "/home/",
    "/System/",
    "/Library/",
    "/Applications/",
];

/// The readers of a program's records: by its name without its folder, then by the name's first part.
fn by_app<'t>(apps: &'t HashMap<String, Vec<u16>>, scratch: &mut String, name: &str) -> Option<&'t [u16]> {
    scratch.clear();
    // A path that is none of a program's is a URL's: `/api/login`.
    let is_program = name.starts_with('/') && PROGRAM_FOLDERS.iter().any(|folder| name.starts_with(folder));
    scratch.push_str(if is_program { name.rsplit('/').next().unwrap_or(name) } else { name });
    scratch.make_ascii_lowercase();
    if let Some(numbers) = apps.get(scratch.as_str()) {
        return Some(numbers);
    }
    let end = scratch.find('/')?;
    scratch.truncate(end + 1);
    scratch.push('*');
    apps.get(scratch.as_str()).map(Vec::as_slice)
}

/// The names of the text formats, sorted.
pub(in crate::decode) fn names(library: &Library) -> Vec<&'static str> {
    let registry = Registry::new(library);
    let mut names: Vec<&'static str> = registry.names.keys().copied().chain(["syslog"]).collect();
    names.sort_unstable();
    names
}
