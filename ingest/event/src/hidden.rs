//! Characters that a screen does not show: they reorder, hide or end what stands beside them, or speak to the terminal. Whoever shows what a
//! sender wrote makes them visible; the record itself keeps them.

/// Each character with whether it is hidden: control (C0, C1), format and direction (Unicode category Cf), line and paragraph separators,
/// private use, blank fillers; and variation selectors but one after an ideograph, where names in registers have them (UTS #37).
pub fn mark(text: &str) -> impl Iterator<Item = (char, bool)> {
    let mut before = '\0';
    text.chars().map(move |c| {
        let selector = matches!(c, '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}');
        let hidden = if selector { !is_ideograph(before) } else { is_hidden(c) };
        before = c;
        (c, hidden)
    })
}

fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}' | '\u{890}'..='\u{891}' | '\u{8e2}'
            | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}' | '\u{e000}'..='\u{f8ff}' | '\u{feff}'
            | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}' | '\u{110bd}' | '\u{110cd}' | '\u{13430}'..='\u{1343f}' | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e007f}' | '\u{f0000}'..='\u{10ffff}')
}

fn is_ideograph(c: char) -> bool {
    matches!(c, '\u{2e80}'..='\u{2fdf}' | '\u{3005}' | '\u{3007}' | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}'
        | '\u{20000}'..='\u{3ffff}')
}

#[cfg(test)]
mod tests {
    use super::mark;

    #[test]
    fn what_a_screen_does_not_show_is_marked() {
        for c in [
            '\0',
            '\n',
            '\u{1b}',
            '\u{7f}',
            '\u{85}',
            '\u{9b}',
            '\u{ad}',
            '\u{61c}',
            '\u{180e}',
            '\u{200b}',
            '\u{200f}',
            '\u{2028}',
            '\u{2029}',
            '\u{202e}',
            '\u{2066}',
            '\u{206f}',
            '\u{3164}',
            '\u{e000}',
            '\u{fe0f}',
            '\u{feff}',
            '\u{e0001}',
            '\u{e0041}',
            '\u{e0100}',
            '\u{10fffd}',
        ] {
            let text = format!("a{c}b");
            assert_eq!(mark(&text).map(|(_, hidden)| hidden).collect::<Vec<_>>(), [false, true, false], "{:x}", c as u32);
        }
    }

    #[test]
    fn what_people_write_is_not() {
        for text in ["個人番号 ﾊﾝｶｸ　全角", "辻\u{e0100}さん", "é 𠮷 😀 ñ"] {
            assert!(mark(text).all(|(_, hidden)| !hidden), "{text}");
        }
        assert!(mark("辻\u{e0100}\u{e0101}").any(|(_, hidden)| hidden), "one selector only");
    }
}
