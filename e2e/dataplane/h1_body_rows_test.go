package dataplane

import "strings"

// post is a POST with these lines in its head, and what follows it.
func post(lines, body string) string { return "POST /x HTTP/1.1\nHost: a\n" + lines + "\n\n" + body }

func posted(ref, name, lines, body, content, framing string) row {
	return row{ref: ref, name: name, send: post(lines, body), status: 200, app: "POST /x HTTP/1.1", body: content, framing: framing}
}

func badPost(ref, name, lines, body string, status int) row {
	return bad(ref, name, post(lines, body), status)
}

var requestBodies = []row{
	posted("6.2", "length", "Content-Length: 5", "hello", "hello", "length"),
	posted("6.2", "length 0 is stated on", "Content-Length: 0", "", "", "length"),
	posted("6.2", "leading zeros", "Content-Length: 0005", "hello", "hello", "length"),
	posted("6.3", "no body is announced", "A: b", "", "", ""),
	posted("6.2", "a long body", "Content-Length: 100000", strings.Repeat("0123456789", 10000), strings.Repeat("0123456789", 10000), "length"),
	{ref: "9110 9.3.1", name: "GET with a body", send: "GET /x HTTP/1.1\nHost: a\nContent-Length: 3\n\nabc", status: 200, app: "GET /x HTTP/1.1", body: "abc", framing: "length"},
	{ref: "9110 9.3.5", name: "DELETE with a chunked body", send: "DELETE /x HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\n\n3\nabc\n0\n\n", status: 200, app: "DELETE /x HTTP/1.1", body: "abc"},
	posted("6.3", "the same length twice becomes one", "Content-Length: 5\nContent-Length: 5", "hello", "hello", "length"),
	badPost("6.3", "two lengths", "Content-Length: 5\nContent-Length: 6", "hello", 400),
	badPost("6.3", "two lengths of one number", "Content-Length: 5\nContent-Length: 05", "hello", 400),
	badPost("6.3", "a list of one length", "Content-Length: 5, 5", "hello", 400),
	badPost("6.3", "a list of lengths", "Content-Length: 5, 6", "hello", 400),
	badPost("9110 8.6", "plus", "Content-Length: +5", "hello", 400),
	badPost("9110 8.6", "minus", "Content-Length: -5", "hello", 400),
	badPost("9110 8.6", "hexadecimal", "Content-Length: 0x5", "hello", 400),
	badPost("9110 8.6", "fraction", "Content-Length: 5.0", "hello", 400),
	badPost("9110 8.6", "space inside", "Content-Length: 5 5", "hello", 400),
	badPost("9110 8.6", "empty", "Content-Length:", "hello", 400),
	badPost("9110 8.6", "letters", "Content-Length: five", "hello", 400),
	badPost("9110 8.6", "digits of another script", "Content-Length: \u0665", "hello", 400),
	badPost("9110 8.6", "2 to the 64", "Content-Length: 18446744073709551616", "hello", 400),
	badPost("9110 8.6", "2 to the 64 and 5", "Content-Length: 18446744073709551621", "hello", 400),
	badPost("6.1", "length and chunked", "Content-Length: 5\nTransfer-Encoding: chunked", "0\n\n", 400),
	badPost("6.1", "chunked and length", "Transfer-Encoding: chunked\nContent-Length: 3", "3\nabc\n0\n\n", 400),
	badPost("6.1", "length and another coding", "Content-Length: 5\nTransfer-Encoding: identity", "hello", 501),
	badPost("6.1", "a coding nobody knows", "Transfer-Encoding: rot13", "x", 501),
	badPost("6.1", "identity", "Transfer-Encoding: identity", "x", 501),
	badPost("6.1", "gzip below chunked", "Transfer-Encoding: gzip, chunked", "0\n\n", 501),
	badPost("6.1", "gzip below chunked, in two fields", "Transfer-Encoding: gzip\nTransfer-Encoding: chunked", "0\n\n", 501),
	badPost("6.1", "something above chunked", "Transfer-Encoding: chunked, gzip", "0\n\n", 400),
	badPost("6.1", "chunked twice", "Transfer-Encoding: chunked, chunked", "0\n\n", 400),
	badPost("6.1", "chunked in two fields", "Transfer-Encoding: chunked\nTransfer-Encoding: chunked", "0\n\n", 400),
	badPost("6.1", "chunked and identity", "Transfer-Encoding: chunked\nTransfer-Encoding: identity", "0\n\n", 400),
	badPost("6.1", "empty coding", "Transfer-Encoding:", "0\n\n", 400),
	badPost("6.1", "comma in front", "Transfer-Encoding: , chunked", "0\n\n", 400),
	badPost("6.1", "comma behind", "Transfer-Encoding: chunked,", "0\n\n", 400),
	badPost("7", "parameter of chunked", "Transfer-Encoding: chunked;x=y", "0\n\n", 400),
	badPost("6.1", "chunked in quotes", "Transfer-Encoding: \"chunked\"", "0\n\n", 400),
	badPost("6.1", "almost chunked", "Transfer-Encoding: xchunked", "0\n\n", 501),
	badPost("6.1", "chunked behind a vertical tab", "Transfer-Encoding: \x0bchunked", "0\n\n", 400),
	bad("6.1", "coding in HTTP/1.0", "POST /x HTTP/1.0\nHost: a\nTransfer-Encoding: chunked\n\n0\n\n", 400),
	bad("6.1", "coding and length in HTTP/1.0", "POST /x HTTP/1.0\nHost: a\nContent-Length: 3\nTransfer-Encoding: chunked\n\nabc", 400),
	{ref: "9.3", name: "HTTP/1.0 with a body", send: "POST /x HTTP/1.0\nHost: a\nContent-Length: 3\n\nabc", status: 200, app: "POST /x HTTP/1.1", body: "abc", closes: true},
}

// chunked is a POST with a chunked body.
func chunked(body string) string { return post("Transfer-Encoding: chunked", body) }

// brokenHead marks a request whose body breaks off, so that it is told apart
// where it comes late.
const brokenHead = "X-Broken: 1\nTransfer-Encoding: chunked"

func broken(ref, name, body string) row {
	return row{ref: ref, name: name, send: post(brokenHead, body), app: "POST /x HTTP/1.1", broken: true}
}

func brokenRaw(ref, name, body string) row {
	return row{ref: ref, name: name, raw: true, send: crlf(post(brokenHead, "")) + body, app: "POST /x HTTP/1.1", broken: true}
}

func chunks(ref, name, body, content string, trailers ...string) row {
	return row{ref: ref, name: name, send: chunked(body), status: 200, app: "POST /x HTTP/1.1", body: content, framing: "chunked", trailers: trailers}
}

var chunkedBodies = []row{
	chunks("7.1", "one chunk", "5\nhello\n0\n\n", "hello"),
	posted("7.1", "no chunk", "Transfer-Encoding: chunked", "0\n\n", "", "chunked or length"),
	chunks("7.1", "several, in both cases", "a\n0123456789\nA\n0123456789\n1\nx\n0\n\n", "01234567890123456789x"),
	chunks("7.1", "leading zeros", "005\nhello\n000\n\n", "hello"),
	chunks("7.1", "CRLF in the content", "4\n\n\n\n0\n\n", "\r\n\r\n"),
	posted("7", "the coding's name in capitals", "Transfer-Encoding: ChUnKeD", "5\nhello\n0\n\n", "hello", "chunked"),
	chunks("7.1.1", "extensions are dropped", "5;a;b=c;d=\"e;f\\\"\"\nhello\n0;x\n\n", "hello"),
	chunks("7.1.1", "space before an extension", "5 ;a\nhello\n0\n\n", "hello"),
	chunks("7.1.2", "trailers", "5\nhello\n0\nX-Sum: 1\nx-other: \n\n", "hello", "X-Sum: 1", "x-other: "),
	{ref: "9110 6.6.2", name: "Trailer is passed on", send: "POST /x HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\nTrailer: X-Sum\n\n0\nX-Sum: 1\n\n", status: 200, app: "POST /x HTTP/1.1", has: []string{"Trailer: X-Sum"}, trailers: []string{"X-Sum: 1"}},
	broken("7.1", "no size", "\nhello\n0\n\n"),
	broken("7.1", "not a number", "x\nhello\n0\n\n"),
	broken("7.1", "0x", "0x5\nhello\n0\n\n"),
	broken("7.1", "minus", "-5\nhello\n0\n\n"),
	broken("7.1", "plus", "+5\nhello\n0\n\n"),
	broken("7.1", "underscore", "1_0\nhello\n0\n\n"),
	broken("7.1", "space in front", " 5\nhello\n0\n\n"),
	broken("7.1", "space behind", "5 \nhello\n0\n\n"),
	broken("7.1", "2 to the 64 and 5", "10000000000000005\nhello\n0\n\n"),
	broken("7.1", "2 to the 63", "8000000000000000\nhello\n0\n\n"),
	broken("7.1", "an endless size", strings.Repeat("0", 5000)+"5\nhello\n0\n\n"),
	broken("7.1", "content is longer", "4\nhello\n0\n\n"),
	broken("7.1", "content is shorter", "6\nhello\n0\n\n"),
	broken("7.1", "no line end behind the content", "5\nhello0\n\n"),
	brokenRaw("7.1", "bare LF behind the size", "5\nhello\r\n0\r\n\r\n"),
	brokenRaw("7.1", "bare CR behind the size", "5\rhello\r\n0\r\n\r\n"),
	brokenRaw("7.1", "bare LF behind the content", "5\r\nhello\n0\r\n\r\n"),
	brokenRaw("7.1", "bare LF behind the last size", "5\r\nhello\r\n0\n\r\n"),
	brokenRaw("7.1", "bare LF at the end", "5\r\nhello\r\n0\r\n\n"),
	brokenRaw("7.1.1", "bare LF in an extension", "5;a\nb\r\nhello\r\n0\r\n\r\n"),
	brokenRaw("7.1.1", "bare CR in an extension", "5;a\rb\r\nhello\r\n0\r\n\r\n"),
	brokenRaw("7.1.1", "NUL in an extension", "5;a\x00\r\nhello\r\n0\r\n\r\n"),
	broken("7.1.1", "long extension", "5;"+strings.Repeat("a", 8<<10)+"\nhello\n0\n\n"),
	broken("7.1.1", "many extensions", strings.Repeat("1;"+strings.Repeat("a", 500)+"\nx\n", 100)+"0\n\n"),
	broken("9110 6.5.1", "Content-Length in the trailers", "5\nhello\n0\nContent-Length: 5\n\n"),
	broken("9110 6.5.1", "Transfer-Encoding in the trailers", "5\nhello\n0\nTransfer-Encoding: chunked\n\n"),
	broken("9110 6.5.1", "Host in the trailers", "5\nhello\n0\nHost: b\n\n"),
	broken("5.1", "space before the colon of a trailer", "0\nA : b\n\n"),
	broken("5.2", "folded trailer", "0\nA: b\n c\n\n"),
	brokenRaw("5", "bare LF in the trailers", "0\r\nA: b\nB: c\r\n\r\n"),
	broken("6585 5", "trailers of 70 KiB", "0\nA: "+strings.Repeat("b", 70<<10)+"\n\n"),
}
