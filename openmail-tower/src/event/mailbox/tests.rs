use std::time::{Duration, Instant};

use super::*;

/// Asserts the sender that is read from a text: `right`, or none.
fn check(text: &str, right: Option<&str>) {
    let read = Mailbox::single(text).map(|mailbox| mailbox.address.to_string());
    assert_eq!(read.as_deref(), right, "{text:?}");
    #[cfg(any(feature = "api", feature = "guard"))]
    if let Some(address) = single_address(text) {
        assert!(may_contain(text, &address), "{text:?}");
    }
}

#[test]
fn sender_is_the_address_at_the_end() {
    const SHAPES: &[(&str, &str)] = &[
        // plain
        ("user@host.example", "user@host.example"),
        (" user@host.example ", "user@host.example"),
        ("<user@host.example>", "user@host.example"),
        ("< user@host.example >", "user@host.example"),
        ("Ada <Ada@Example.com>", "Ada@Example.com"),
        ("Ada<ada@b.example>", "ada@b.example"),
        ("Ada\r\n <ada@b.example>", "ada@b.example"),
        ("Ada\t<ada@b.example>\r\n", "ada@b.example"),
        ("user@host.example,", "user@host.example"),
        ("root@localhost", "root@localhost"),
        ("user@[192.0.2.1]", "user@[192.0.2.1]"),
        ("first.last+tag@sub.host.example", "first.last+tag@sub.host.example"),
        ("b-x=y.example-1234=@bounce.example", "b-x=y.example-1234=@bounce.example"),
        // regressions
        ("<h2> <user@host.example>", "user@host.example"),
        ("Jane <jane@corp.example> via Acme <noreply@acme.example>", "noreply@acme.example"),
        ("Acme (Berlin <bb@test.example>", "bb@test.example"),
        ("I <3 mail <a@b.example>", "a@b.example"),
        ("\"System Administrator\"@example.org", "\"System Administrator\"@example.org"),
        ("<@relay.example:user@host.example>", "user@host.example"),
        ("Ada <mailto:a@b.example>", "a@b.example"),
        ("\"unclosed <a@b.example>", "a@b.example"),
        // names that contain addresses
        ("\"boss@bank.example\" <thief@evil.example>", "thief@evil.example"),
        ("boss@bank.example <thief@evil.example>", "thief@evil.example"),
        ("<boss@bank.example> <thief@evil.example>", "thief@evil.example"),
        ("Boss <boss@bank.example> <thief@evil.example>", "thief@evil.example"),
        ("\"Boss <boss@bank.example>\" <thief@evil.example>", "thief@evil.example"),
        ("boss@bank.example on behalf of thief <thief@evil.example>", "thief@evil.example"),
        ("thief@evil.example (boss@bank.example)", "thief@evil.example"),
        ("thief@evil.example (<boss@bank.example>)", "thief@evil.example"),
        ("(boss@bank.example) thief <thief@evil.example>", "thief@evil.example"),
        ("Boss <boss@bank.example>\n<thief@evil.example>", "thief@evil.example"),
        ("=?utf-8?q?Boss_=3Cboss=40bank.example=3E?= <thief@evil.example>", "thief@evil.example"),
        ("boss@bank.example> <thief@evil.example>", "thief@evil.example"),
        ("<<boss@bank.example>> <thief@evil.example>", "thief@evil.example"),
        ("mailto:boss@bank.example <thief@evil.example>", "thief@evil.example"),
        ("\u{202e}elpmaxe.knab@ssob\u{202c} <thief@evil.example>", "thief@evil.example"),
        // names with special characters
        ("\"Lovelace, Ada\" <a@b.example>", "a@b.example"),
        ("Lovelace, Ada <a@b.example>", "a@b.example"),
        ("Acme, Inc.; Berlin <a@b.example>", "a@b.example"),
        ("Re: your mail <a@b.example>", "a@b.example"),
        ("\"Ada \\\"the first\\\" L\" <a@b.example>", "a@b.example"),
        ("Ada \"the first\" L <a@b.example>", "a@b.example"),
        ("5\" disks <a@b.example>", "a@b.example"),
        ("Ada :-) <a@b.example>", "a@b.example"),
        ("Ada (((( <a@b.example>", "a@b.example"),
        ("Ada \\ <a@b.example>", "a@b.example"),
        ("a -> b <a@b.example>", "a@b.example"),
        ("'Ada' <a@b.example>", "a@b.example"),
        ("@ada <a@b.example>", "a@b.example"),
        ("Zażółć \u{1f48c} <z@b.example>", "z@b.example"),
        ("=?iso-2022-jp?B?GyRCRnxLXBsoQg==?= <a@b.example>", "a@b.example"),
        // quoted local parts
        ("\"a b\"@c.example", "\"a b\"@c.example"),
        ("Ada <\"a b\"@c.example>", "\"a b\"@c.example"),
        ("Ada <\"boss@bank.example\"@evil.example>", "\"boss@bank.example\"@evil.example"),
        ("Ada <\"<boss@bank.example>\"@evil.example>", "\"<boss@bank.example>\"@evil.example"),
        ("Ada <\"a,b\"@c.example>", "\"a,b\"@c.example"),
        ("\"a\\\"b\"@c.example", "\"a\\\"b\"@c.example"),
        ("\"boss@bank.example> \"@evil.example", "\"boss@bank.example> \"@evil.example"),
        // source routes, schemes, comments
        ("<@a.example,@b.example:user@host.example>", "user@host.example"),
        ("@relay.example:user@host.example", "user@host.example"),
        ("Ada <@[192.0.2.1]:user@host.example>", "user@host.example"),
        ("mailto:a@b.example", "a@b.example"),
        ("Ada <MAILTO:a@b.example>", "a@b.example"),
        ("a@b.example (Ada)", "a@b.example"),
        ("a@b.example (Ada (of B)) (again)", "a@b.example"),
        ("Ada <a@b.example> (comment)", "a@b.example"),
        ("Ada <a@b.example> (comment, with <x@y.example>)", "a@b.example"),
        // domains in Unicode
        ("z@ż.example", "z@ż.example"),
        ("Ada <z@xn--bcher-kva.example>", "z@xn--bcher-kva.example"),
        ("用户 <用户@例え.example>", "用户@例え.example"),
        ("Ada <user%boss=bank.example@evil.example>", "user%boss=bank.example@evil.example"),
    ];
    for (text, right) in SHAPES {
        check(text, Some(right));
    }
    println!("{} shapes with a sender", SHAPES.len());
}

#[test]
fn text_that_does_not_end_with_exactly_one_address_has_no_sender() {
    const SHAPES: &[&str] = &[
        // nothing
        "",
        " ",
        "<>",
        "Ada <>",
        "Ada",
        "not an address",
        "MAILER-DAEMON",
        "@",
        "<@>",
        "a@",
        "@b.example",
        "Mail Delivery System (MAILER-DAEMON)",
        "undisclosed-recipients:;",
        "Ada <a@b.example> via list <>",
        // several
        "\"x\" <ceo@corp.example>, \"y\" <evil@bad.example>",
        "ceo@corp.example, evil@bad.example",
        "ceo@corp.example; evil@bad.example",
        "ceo@corp.example,<evil@bad.example>",
        "ceo@corp.example, y <evil@bad.example>",
        "<ceo@corp.example>;<evil@bad.example>",
        "<evil@bad.example> (x), <ceo@corp.example>",
        "evil@bad.example (\"), \"<ceo@corp.example>",
        // several, with the separators inside what looks like a quoted name
        "\" <evil@bad.example>, \" <ceo@corp.example>",
        "\"\\\"\" <evil@bad.example>, \"\\\"\" <ceo@corp.example>",
        "\" <evil@bad.example>, <x <ceo@corp.example>",
        "( <evil@bad.example>, ) <ceo@corp.example>",
        "<@x <evil@bad.example>, <ceo@corp.example>",
        // groups
        "Friends: ceo@corp.example;",
        "Friends: a@b.example, c@d.example;",
        "Friends: Ada <a@b.example>;",
        "A: a@b.example; <evil@bad.example>",
        // something after the address
        "Ada <a@b.example> x",
        "Ada <a@b.example",
        "a@b.example x",
        "a@b.example>",
        "<<a@b.example>>",
        "Ada <a@b.example>\"",
        "Ada <a@b.example>;",
        "\"a@b.example\"",
        "\"Ada <a@b.example>\"",
        "a@b.example ceo@corp.example",
        "=?utf-8?q?<ceo@corp.example>?=",
        "Ada <a@b.example> :)",
        "<a@b.example (x)>",
        "<a@b.example(x ceo@corp.example)>",
        "Ada a@b.example",
        // not an address
        "<a@b@c.example>",
        "<a b@c.example>",
        "<a@b c.example>",
        "<a@b..example>",
        "<a,b@c.example>",
        "<ftp:a@b.example>",
        "<mailto:a@b.example?subject=x>",
        "<a@b.example\0.evil.example>",
        "<a\n@b.example>",
        "<a@b.example\n>x",
        "<a\u{202e}@b.example>",
        "<a@b\u{200b}.example>",
        "<a\u{e0041}@b.example>",
        "<relay.example:a@b.example>",
        "<@relay:@a@b.example>",
        "<\"a\"b@c.example>",
        "<a\"@c.example>",
        "x\" <a\"@evil.example>",
        "<user@[ceo@corp.example]>",
        "<a\u{ff20}b.example>",
        "a@b.example\u{2028}c@d.example",
        "<'a@b.example'>",
        "<\"a@b.example\">",
        "host!user",
    ];
    for text in SHAPES {
        check(text, None);
    }
    println!("{} shapes without a sender", SHAPES.len());
}

#[test]
fn text_beyond_the_limit_is_not_read() {
    for unit in [
        "a:b;",
        "<",
        "(",
        ")",
        "\"",
        "\\",
        "<a@b.c>,",
        "@",
        ",",
        "a@b.c ",
        "=?utf-8?q?a?= ",
        "<@a,",
    ] {
        // Twice and 128 times the maximum length that is read of a list.
        let texts = [2 * LONGEST_LIST, 8 << 20].map(|bytes| [unit.repeat(bytes / unit.len())]);
        let mut least = [Duration::MAX; 2];
        for _ in 0..5 {
            for (text, least) in texts.iter().zip(&mut least) {
                let start = Instant::now();
                assert_eq!(Mailbox::single(&text[0]), None);
                assert!(Mailbox::all(text).len() <= MOST);
                *least = (*least).min(start.elapsed());
            }
        }
        // Reading all of it would take 64 times as long.
        let [short, long] = least;
        assert!(long < short * 8, "{unit}: {short:?}, then {long:?}");
        let longest = unit.repeat(LONGEST / unit.len());
        let _ = Mailbox::single(&format!("{} <a@b.example>", &longest[20..]));
    }
}

#[test]
fn list_takes_time_proportional_to_its_length() {
    for (start, unit, end) in [
        ("", "\\", ")"),
        (":", "\\", ")"),
        ("", "\\(", ")"),
        ("", "()", ""),
        ("", "\\\"", "\"@b.c"),
        (":", "\"", "\"@b.c"),
    ] {
        let texts = [LONGEST_LIST / 32, LONGEST_LIST].map(|bytes| {
            let room = bytes - start.len() - end.len();
            [format!("{start}{}{end}", unit.repeat(room / unit.len()))]
        });
        let mut least = [Duration::MAX; 2];
        for _ in 0..5 {
            for (text, least) in texts.iter().zip(&mut least) {
                let start = Instant::now();
                assert!(Mailbox::all(text).len() <= 1);
                *least = (*least).min(start.elapsed());
            }
        }
        // Quadratic code would take 1,024 times as long for 32 times the text.
        let [short, long] = least;
        assert!(long < short * 200, "{start}{unit}{end}: {short:?}, then {long:?}");
    }
}

#[test]
fn names_are_decoded_and_shown_on_one_line() {
    for (text, expected) in [
        ("a@b.example", None),
        ("\"\" <a@b.example>", None),
        ("Ada <a@b.example>", Some("Ada")),
        ("\"Lovelace, Ada\" <a@b.example>", Some("Lovelace, Ada")),
        ("\"Ada \\\"the first\\\"\" <a@b.example>", Some("Ada \"the first\"")),
        ("\"a\" and \"b\" <a@b.example>", Some("\"a\" and \"b\"")),
        ("a@b.example (Ada)", Some("Ada")),
        ("Boss <x@y.example> <a@b.example>", Some("Boss <x@y.example>")),
        ("=?utf-8?q?a=0AERROR=1b[31m?= <a@b.example>", Some("a ERROR [31m")),
        ("\"=?utf-8?q?a=0AERROR=1b[31m?=\" <a@b.example>", Some("a ERROR [31m")),
        ("=?utf-8?b?4oCoYeKAruKBpw==?= <a@b.example>", Some("a")),
        ("\u{61c}Ada\u{200e} \u{200f}B\u{202e} <a@b.example>", Some("Ada B")),
        ("A\u{200b}d\u{e0041}a\u{1b}\u{7} <a@b.example>", Some("Ada")),
        ("=?utf-8?q?=0A?= <a@b.example>", None),
        ("=?iso-2022-jp?B?GyRCRnxLXBsoQg==?= <a@b.example>", Some("日本")),
        ("=?gb2312?B?1tC5+g==?= <a@b.example>", Some("中国")),
        ("=?GBK?B?1tC5+g==?= <a@b.example>", Some("中国")),
        ("=?big5?B?pKSk5Q==?= <a@b.example>", Some("中文")),
        ("=?euc-kr?B?x9GxuQ==?= <a@b.example>", Some("한국")),
        ("=?shift_jis?B?k/qWew==?= <a@b.example>", Some("日本")),
        ("=?koi8-r?B?6dfBzg==?= <a@b.example>", Some("Иван")),
        ("=?utf-8?q?Ad?= =?utf-8?q?a?= <a@b.example>", Some("Ada")),
        ("=?nonsense?q?a?= <a@b.example>", Some("a")),
        ("=?utf-8?b <a@b.example>", Some("=?utf-8?b")),
    ] {
        let name = Mailbox::single(text).unwrap().name;
        assert_eq!(name.as_deref(), expected, "{text:?}");
    }
}

#[test]
fn splits_lists_of_mailboxes() {
    let all = |texts: &[&str]| -> Vec<String> {
        let texts: Vec<_> = texts.iter().map(|text| (*text).to_owned()).collect();
        Mailbox::all(&texts).iter().map(ToString::to_string).collect()
    };
    for (texts, expected) in [
        (&[""][..], &[][..]),
        (
            &["bob@b.example, \"C, D\" <carol@c.example>"],
            &["bob@b.example", "C, D <carol@c.example>"],
        ),
        (
            &["bob@b.example", "carol@c.example;dan@d.example"],
            &["bob@b.example", "carol@c.example", "dan@d.example"],
        ),
        (
            &["Lovelace, Ada <ada@b.example>, Eve <eve@e.example>"],
            &["Lovelace, Ada <ada@b.example>", "Eve <eve@e.example>"],
        ),
        (
            &["Friends: ada@b.example, Eve <eve@e.example>;, dan@d.example"],
            &["ada@b.example", "Eve <eve@e.example>", "dan@d.example"],
        ),
        (&["undisclosed-recipients:;"], &[]),
        (&["nobody, <>, ,", "ada@b.example"], &["ada@b.example"]),
        (&["<@a,@b:ada@b.example>, eve@e.example"], &["ada@b.example", "eve@e.example"]),
    ] {
        assert_eq!(all(texts), expected, "{texts:?}");
    }
    assert_eq!(Mailbox::all(&vec!["a@b.example,".repeat(500); 9]).len(), MOST);
}

#[test]
fn display_shows_name_and_address_and_debug_neither() {
    let mailbox = Mailbox::single("Ada <ada@b.example>").unwrap();
    assert_eq!(mailbox.to_string(), "Ada <ada@b.example>");
    assert!(!format!("{mailbox:?}").to_lowercase().contains("ada"));
}

#[cfg(any(feature = "api", feature = "guard"))]
#[test]
fn search_finds_each_address_that_is_read_from_a_text() {
    for text in [
        "ada@b.example",
        "Ada <ADA@B.Example.>",
        "ada@ b.example",
        "\"ada\"@b.example",
        "\"a@d\\a\"@b.example",
        "ada@bücher.example",
        "ada@XN--bcher-kva.example",
        "äda@b.example",
        "ada@[IPv6:2001:db8::1]",
        "<@relay.example:ada@b.example>",
        "mailto:ada@b.example",
        "ada@b.example (Ada)",
        "eve@e.example, Lovelace, Ada <ada@b.example>",
        "Friends: ada@b.example, eve@e.example;",
    ] {
        let read = addresses([text]);
        assert!(!read.is_empty(), "{text}");
        for address in read {
            assert!(may_contain(text, &address), "{text}");
        }
    }
    let ada: Address = "ada@b.example".parse().unwrap();
    for text in ["", "@", "ada@", "@b.example", "eve@b.example", "ada@c.example", "da@b.example"] {
        assert!(!may_contain(text, &ada), "{text}");
    }
}
