//! ENVELOPE and BODYSTRUCTURE of messages written by hand, as a client reads them.

use dbmail_core::mail::{scan, write_body_structure, write_envelope};

/// ENVELOPE, BODY and BODYSTRUCTURE, a line each; the message's line ends are made CRLF.
fn shown(message: &str) -> String {
    let scanned = scan(message.replace('\n', "\r\n").as_bytes());
    let structure = scanned.structure.encode();
    let mut out = b"ENVELOPE ".to_vec();
    write_envelope(&scanned.envelope.encode(), &mut out).unwrap();
    for (name, extended) in [("\nBODY ", false), ("\nBODYSTRUCTURE ", true)] {
        out.extend_from_slice(name.as_bytes());
        write_body_structure(&structure, extended, &mut out).unwrap();
    }
    String::from_utf8(out).unwrap().replace("\r\n", "<CRLF>")
}

macro_rules! snapshots {
    ($($name:ident: $message:expr;)*) => {$(
        #[test]
        fn $name() {
            insta::assert_snapshot!(stringify!($name), shown($message));
        }
    )*};
}

snapshots! {
    // The message of the example in RFC 3501 §8.
    the_example_of_rfc_3501: "Date: Wed, 17 Jul 1996 02:23:25 -0700 (PDT)
From: Terry Gray <gray@cac.washington.edu>
Subject: IMAP4rev1 WG mtg summary and minutes
To: imap@cac.washington.edu
cc: minutes@CNRI.Reston.VA.US, John Klensin <KLENSIN@MIT.EDU>
Message-Id: <B27397-0100000@cac.washington.edu>
MIME-Version: 1.0
Content-Type: TEXT/PLAIN; CHARSET=US-ASCII

one
two
three
";
    // The two-part example of RFC 3501 §7.4.2 (BODYSTRUCTURE).
    text_with_a_patch: "Subject: patch
Content-Type: multipart/mixed; boundary=\"b\"

--b
Content-Type: TEXT/PLAIN; CHARSET=US-ASCII

see below

--b
Content-Type: TEXT/PLAIN; CHARSET=US-ASCII; NAME=\"cc.diff\"
Content-ID: <960723163407.20117h@cac.washington.edu>
Content-Description: Compiler diff
Content-Transfer-Encoding: BASE64

aGVsbG8=

--b--
";
    // The parts of RFC 3501 §6.4.5: 1 text, 2 octets, 3 a message with two parts, 4 a multipart whose second part is a message.
    the_numbered_parts_of_rfc_3501: "Content-Type: multipart/mixed; boundary=o

preamble
--o
Content-Type: text/plain

1
--o
Content-Type: application/octet-stream

2
--o
Content-Type: message/rfc822

From: a@b
Subject: 3
Content-Type: multipart/mixed; boundary=three

--three

3.1
--three
Content-Type: application/octet-stream

3.2
--three--
--o
Content-Type: multipart/mixed; boundary=four

--four
Content-Type: image/gif

4.1
--four
Content-Type: message/rfc822

Subject: 4.2
Content-Type: multipart/mixed; boundary=ft

--ft
Content-Type: text/plain

4.2.1
--ft
Content-Type: multipart/alternative; boundary=ftt

--ftt
Content-Type: text/plain

4.2.2.1
--ftt
Content-Type: text/richtext

4.2.2.2
--ftt--
--ft--
--four--
--o--
epilogue
";
    a_message_in_a_message_in_a_message: "Content-Type: message/rfc822

Subject: one
Content-Type: message/rfc822

Subject: two

body
";
    a_digest: "From: list@example.org
Content-Type: multipart/digest; boundary=\"----- main boundary\"

------- main boundary

From: someone-else@example.org
Subject: my opinion

...body goes here ...
------- main boundary
Content-Type: text/plain

no message
------- main boundary--
";
    groups_and_old_address_forms: "From: Pete(A wonderful \\) chap) <pete(his account)@silly.test(his host)>
To:A Group(Some people)
     :Chris Jones <c@(Chris's host.)public.example>,
         joe@example.org,
  John <jdoe@one.test> (my dear friend); (the end of the group)
Cc:(Empty list)(start)Hidden recipients  :(nobody(that I know))  ;
Sender: Mary Smith <@node.test,@relay.test:mary@example.net>, , jdoe@test  . example
Reply-To: \"Joe Q. \\\"Public\\\"\" <john.q.public@example.com>
Bcc: root, undisclosed-recipients:;
Date: Thu,
      13
        Feb
          1969
      23:32
               -0330 (Newfoundland Time)
Message-ID              : <testabcd.1234@silly.test>

Testing.
";
    rfc_2231_parameters: "Content-Type: application/x-stuff;
\ttitle*0*=us-ascii'en'This%20is%20even%20more%20;
\ttitle*1*=%2A%2A%2Afun%2A%2A%2A%20;
\ttitle*2=\"isn't it!\"
Content-Disposition: attachment; filename*=UTF-8''%e2%82%ac%20rates;
 filename=\"EURO \\\"rates\\\".txt\"
Content-Transfer-Encoding: base64

AAAA
";
    eight_bit_headers: "Subject: Grüße
From: Jörg <joerg@example.org>
To: =?utf-8?Q?J=C3=B6rg?= <joerg@example.org>
Content-Type: text/plain; charset=utf-8; name=\"für.txt\"
Content-Transfer-Encoding: 8bit

ä
";
    all_extension_data: "Content-Type: multipart/related; boundary=r; type=\"text/html\"
Content-Disposition: inline
Content-Language: en, de-AT
Content-Location: http://example.org/

--r
Content-Type: text/html
Content-MD5: Q2hlY2sgSW50ZWdyaXR5IQ==
Content-Disposition: INLINE
Content-Language: fr
Content-Location: index.html

<p>
--r
Content-Type: message/rfc822
Content-Disposition: attachment; filename=a.eml

To: a@b

x
--r--
";
    what_can_not_be_taken_apart: "Content-Type: multipart/mixed; boundary=b

--b
Content-Type: message/rfc822
Content-Transfer-Encoding: base64
Content-Disposition: attachment

VG86IGFAYgoK
--b
Content-Type: multipart/alternative

no boundary
--b
Content-Type: multipart/alternative; boundary=nowhere

no delimiter
--b
Content-Type: nonsense

plain
--b--
";
    empty_fields_and_repeated_ones: "Subject:
Date:
From:
To: a@b
To: c@d
Message-ID:
Subject: second
In-Reply-To:  <a@b>
   <c@d>

";
    nothing_at_all: "";
    an_mbox_line_and_control_characters: "From someone Mon Sep 17 00:00:00 2001
Subject: tab\there, quote \" and \\ backslash, bare \r return
From: \"a\u{0}b\" <x@y>

";
}
