package dataplane

import "strings"

// get is a request with these further lines.
func get(lines ...string) string {
	return "GET /x HTTP/1.1\nHost: a\n" + strings.Join(append(lines, ""), "\n") + "\n"
}

func bad(ref, name, send string, status int) row {
	return row{ref: ref, name: name, send: send, status: status, closes: true}
}

func badRaw(ref, name, send string, status int) row {
	return row{ref: ref, name: name, send: send, raw: true, status: status, closes: true}
}

var requestLines = []row{
	{ref: "3", name: "origin form", send: get(), status: 200, app: "GET /x HTTP/1.1", framing: "none"},
	{ref: "3.1", name: "methods are case-sensitive tokens", send: "get /x HTTP/1.1\nHost: a\n\n", status: 200, app: "get /x HTTP/1.1"},
	{ref: "3.1", name: "a method nobody knows", send: "M-SEARCH.1~ /x HTTP/1.1\nHost: a\n\n", status: 200, app: "M-SEARCH.1~ /x HTTP/1.1"},
	bad("3.1", "method with a delimiter", "GE(T /x HTTP/1.1\nHost: a\n\n", 400),
	bad("3", "two spaces behind the method", "GET  /x HTTP/1.1\nHost: a\n\n", 400),
	bad("3", "two spaces before the version", "GET /x  HTTP/1.1\nHost: a\n\n", 400),
	bad("3", "tab for a space", "GET\t/x\tHTTP/1.1\nHost: a\n\n", 400),
	bad("3", "space in front", " GET /x HTTP/1.1\nHost: a\n\n", 400),
	bad("3", "space behind the version", "GET /x HTTP/1.1 \nHost: a\n\n", 400),
	bad("3", "HTTP/0.9", "GET /x\n\n", 400),
	bad("3", "no target", "GET HTTP/1.1\nHost: a\n\n", 400),
	bad("2.3", "name of the protocol in lower case", "GET /x http/1.1\nHost: a\n\n", 400),
	bad("2.3", "version of two digits", "GET /x HTTP/1.10\nHost: a\n\n", 400),
	bad("2.3", "version without a minor", "GET /x HTTP/1\nHost: a\n\n", 400),
	bad("9110 2.5", "major version 2 as text", "GET /x HTTP/2.0\nHost: a\n\n", 505),
	bad("9110 2.5", "major version 3", "GET /x HTTP/3.0\nHost: a\n\n", 505),
	{ref: "9110 2.5", name: "a higher minor version is the highest known", send: "GET /x HTTP/1.9\nHost: a\n\n", status: 200, app: "GET /x HTTP/1.1"},
	{ref: "2.2", name: "one empty line in front", send: "\nGET /x HTTP/1.1\nHost: a\n\n", status: 200, app: "GET /x HTTP/1.1"},
	badRaw("2.2", "bare LF as line ends", "GET /x HTTP/1.1\nHost: a\n\n", 400),
	badRaw("2.2", "one bare LF", "GET /x HTTP/1.1\r\nHost: a\nX: y\r\n\r\n", 400),
	badRaw("2.2", "bare CR in the request line", "GET /x\rGET /y HTTP/1.1\r\nHost: a\r\n\r\n", 400),
	badRaw("2.2", "CR CR LF", "GET /x HTTP/1.1\r\r\nHost: a\r\n\r\n", 400),
	bad("2.2", "space between request line and fields", "GET /x HTTP/1.1\n Host: a\n\n", 400),
	bad("3", "target of 33 KiB", "GET /"+strings.Repeat("x", 33<<10)+" HTTP/1.1\nHost: a\n\n", 414),
	{ref: "3", name: "target of 8,000 octets", send: "GET /" + strings.Repeat("x", 7999) + " HTTP/1.1\nHost: a\n\n", status: 200, app: "GET /" + strings.Repeat("x", 7999) + " HTTP/1.1"},
	badRaw("3.2", "NUL in the target", "GET /x\x00y HTTP/1.1\r\nHost: a\r\n\r\n", 400),
	badRaw("3.2", "DEL in the target", "GET /x\x7fy HTTP/1.1\r\nHost: a\r\n\r\n", 400),
	bad("3.2", "fragment in the target", "GET /x#y HTTP/1.1\nHost: a\n\n", 400),
	{ref: "3.2", name: "the target is not normalised", send: "GET /a/../b//c/%2e%2E/%41?x=%zz&&y HTTP/1.1\nHost: a\n\n", status: 200, app: "GET /a/../b//c/%2e%2E/%41?x=%zz&&y HTTP/1.1"},
}

var targets = []row{
	{ref: "3.2.1", name: "query", send: "GET /x?a=b/c?d HTTP/1.1\nHost: a\n\n", status: 200, app: "GET /x?a=b/c?d HTTP/1.1", has: []string{"Host: a"}},
	bad("3.2.1", "relative path", "GET x HTTP/1.1\nHost: a\n\n", 400),
	bad("3.2.1", "query alone", "GET ?x HTTP/1.1\nHost: a\n\n", 400),
	{ref: "3.2.2", name: "absolute form replaces Host", send: "GET http://real.example:81/x?y HTTP/1.1\nHost: lie\n\n", status: 200, app: "GET /x?y HTTP/1.1", has: []string{"Host: real.example:81"}},
	{ref: "3.2.2", name: "absolute form in capitals", send: "GET HTTP://Real.Example/x HTTP/1.1\nHost: lie\n\n", status: 200, app: "GET /x HTTP/1.1", has: []string{"Host: Real.Example"}},
	{ref: "3.2.2", name: "absolute form with https", send: "GET https://real/x HTTP/1.1\nHost: lie\n\n", status: 200, app: "GET /x HTTP/1.1", has: []string{"Host: real"}},
	{ref: "3.2.1", name: "absolute form without a path", send: "GET http://real HTTP/1.1\nHost: lie\n\n", status: 200, app: "GET / HTTP/1.1", has: []string{"Host: real"}},
	{ref: "3.2.4", name: "OPTIONS of a whole server in absolute form", send: "OPTIONS http://real:8001 HTTP/1.1\nHost: lie\n\n", status: 200, app: "OPTIONS * HTTP/1.1", has: []string{"Host: real:8001"}},
	{ref: "3.2.2", name: "absolute form with IPv6", send: "GET http://[fd00::1]:80/x HTTP/1.1\nHost: lie\n\n", status: 200, app: "GET /x HTTP/1.1", has: []string{"Host: [fd00::1]:80"}},
	bad("3.2.2", "absolute form, but no Host", "GET http://real/x HTTP/1.1\n\n", 400),
	bad("3.2.2", "absolute form with a malformed Host", "GET http://real/x HTTP/1.1\nHost: a b\n\n", 400),
	bad("9110 4.2.4", "user information", "GET http://me@real/x HTTP/1.1\nHost: a\n\n", 400),
	bad("9110 4.2.1", "empty host", "GET http:///x HTTP/1.1\nHost: a\n\n", 400),
	bad("3.2.2", "another scheme", "GET ftp://real/x HTTP/1.1\nHost: a\n\n", 400),
	bad("3.2.2", "scheme without slashes", "GET http:real/x HTTP/1.1\nHost: a\n\n", 400),
	bad("3.2.2", "port out of range", "GET http://real:65536/x HTTP/1.1\nHost: a\n\n", 400),
	bad("3.2.3", "authority form of another method", "GET real:80 HTTP/1.1\nHost: a\n\n", 400),
	bad("3.2.3", "CONNECT with a path", "CONNECT /x HTTP/1.1\nHost: a\n\n", 400),
	bad("3.2.3", "CONNECT without a port", "CONNECT real HTTP/1.1\nHost: real\n\n", 400),
	bad("9110 9.3.6", "CONNECT with an empty port", "CONNECT real: HTTP/1.1\nHost: real\n\n", 400),
	bad("9110 9.3.6", "CONNECT with an invalid port", "CONNECT real:65536 HTTP/1.1\nHost: real\n\n", 400),
	bad("9110 9.3.6", "CONNECT in absolute form", "CONNECT http://real:80/ HTTP/1.1\nHost: real\n\n", 400),
	bad("9110 9.3.6", "CONNECT with a body", "CONNECT real:80 HTTP/1.1\nHost: real\nContent-Length: 3\n\nabc", 400),
	{ref: "3.2.4", name: "asterisk form", send: "OPTIONS * HTTP/1.1\nHost: a\n\n", status: 200, app: "OPTIONS * HTTP/1.1"},
	bad("3.2.4", "asterisk form of another method", "GET * HTTP/1.1\nHost: a\n\n", 400),
	bad("3.2.4", "asterisk with a path", "OPTIONS */x HTTP/1.1\nHost: a\n\n", 400),
}

var hosts = []row{
	bad("3.2", "no Host", "GET /x HTTP/1.1\nA: b\n\n", 400),
	bad("3.2", "two Hosts", get("Host: b"), 400),
	bad("3.2", "two equal Hosts", get("Host: a"), 400),
	bad("3.2", "two Hosts in different case", get("HOST: a"), 400),
	{ref: "3.2", name: "empty Host", send: "GET /x HTTP/1.1\nHost:\n\n", status: 200, app: "GET /x HTTP/1.1", has: []string{"Host: "}},
	{ref: "3.2", name: "Host with port", send: "GET /x HTTP/1.1\nhost:  a:8080 \n\n", status: 200, app: "GET /x HTTP/1.1", has: []string{"Host: a:8080"}},
	{ref: "9110 7.2", name: "Host with an empty port", send: "GET /x HTTP/1.1\nHost: a:\n\n", status: 200, app: "GET /x HTTP/1.1", has: []string{"Host: a:"}},
	{ref: "9110 7.2", name: "Host with IPv6", send: "GET /x HTTP/1.1\nHost: [::1]:80\n\n", status: 200, app: "GET /x HTTP/1.1", has: []string{"Host: [::1]:80"}},
	{ref: "9110 7.2", name: "Host in percent encoding", send: "GET /x HTTP/1.1\nHost: a%2eb\n\n", status: 200, app: "GET /x HTTP/1.1", has: []string{"Host: a%2eb"}},
	bad("9110 7.2", "Host with a path", "GET /x HTTP/1.1\nHost: a/b\n\n", 400),
	bad("9110 7.2", "Host with user information", "GET /x HTTP/1.1\nHost: me@a\n\n", 400),
	bad("9110 7.2", "Host with a space", "GET /x HTTP/1.1\nHost: a b\n\n", 400),
	bad("9110 7.2", "Host with letters as port", "GET /x HTTP/1.1\nHost: a:b\n\n", 400),
	bad("9110 7.2", "Host with port out of range", "GET /x HTTP/1.1\nHost: a:70000\n\n", 400),
	bad("9110 7.2", "Host with an open bracket", "GET /x HTTP/1.1\nHost: [::1\n\n", 400),
	bad("9110 7.2", "Host beyond ASCII", "GET /x HTTP/1.1\nHost: b\u00fccher\n\n", 400),
	{ref: "3.2", name: "HTTP/1.0 without Host", send: "GET /x HTTP/1.0\n\n", status: 200, app: "GET /x HTTP/1.1", has: []string{"Host: "}, closes: true},
	bad("3.2", "HTTP/1.0 with two Hosts", "GET /x HTTP/1.0\nHost: a\nHost: b\n\n", 400),
}

var fieldLines = []row{
	{ref: "5", name: "names keep their case, fields their order", send: get("X-First: 1", "x-second: 2", "X-FIRST: 3"), status: 200, app: "GET /x HTTP/1.1", has: []string{"X-First: 1", "x-second: 2", "X-FIRST: 3"}},
	{ref: "5", name: "whitespace around a value", send: get("A: \t b \t ", "C:d", "E: "), status: 200, app: "GET /x HTTP/1.1", has: []string{"A: b", "C: d", "E: "}},
	{ref: "9110 5.5", name: "tab, quotes and obs-text in a value", send: get("A: b\t\"c, d\" \xe9\xff"), status: 200, app: "GET /x HTTP/1.1", has: []string{"A: b\t\"c, d\" \xe9\xff"}},
	{ref: "9110 5.6.2", name: "every character of a token in a name", send: get("!#$%&'*+-.^_`|~0aZ: v"), status: 200, app: "GET /x HTTP/1.1", has: []string{"!#$%&'*+-.^_`|~0aZ: v"}},
	bad("5.1", "space before the colon", get("A : b"), 400),
	bad("5.1", "tab before the colon", get("A\t: b"), 400),
	bad("5.1", "space before the colon of Content-Length", get("Content-Length : 5"), 400),
	bad("5.1", "space before the colon of Transfer-Encoding", get("Transfer-Encoding : chunked"), 400),
	bad("5.2", "folded line", get("A: b", " c"), 400),
	bad("5.2", "folded line with a tab", get("A: b", "\tc"), 400),
	bad("5.2", "folded Transfer-Encoding", get("Transfer-Encoding:", " chunked"), 400),
	bad("5.2", "folded Content-Length", get("Content-Length:", " 5"), 400),
	bad("5.1", "no colon", get("A b"), 400),
	bad("5.1", "no name", get(": b"), 400),
	bad("5.1", "name in quotes", get("\"A\": b"), 400),
	bad("5.1", "name beyond ASCII", get("\u00c4: b"), 400),
	badRaw("9110 5.5", "NUL in a value", "GET /x HTTP/1.1\r\nHost: a\r\nA: b\x00c\r\n\r\n", 400),
	badRaw("9110 5.5", "bare CR in a value", "GET /x HTTP/1.1\r\nHost: a\r\nA: b\rX: c\r\n\r\n", 400),
	badRaw("9110 5.5", "bare LF in a value", "GET /x HTTP/1.1\r\nHost: a\r\nA: b\nX: c\r\n\r\n", 400),
	badRaw("9110 5.5", "vertical tab in a value", "GET /x HTTP/1.1\r\nHost: a\r\nA: b\x0bc\r\n\r\n", 400),
	badRaw("9110 5.5", "DEL in a value", "GET /x HTTP/1.1\r\nHost: a\r\nA: b\x7f\r\n\r\n", 400),
	badRaw("5.1", "NUL in a name", "GET /x HTTP/1.1\r\nHost: a\r\nA\x00: b\r\n\r\n", 400),
	{ref: "9110 5.4", name: "200 fields", send: get(strings.Split(strings.TrimSuffix(strings.Repeat("A: b\n", 200), "\n"), "\n")...), status: 200, app: "GET /x HTTP/1.1"},
	{ref: "9110 5.4", name: "a field of 30 KiB", send: get("A: " + strings.Repeat("b", 30<<10)), status: 200, app: "GET /x HTTP/1.1"},
	bad("6585 5", "300 fields", get(strings.Split(strings.Repeat("A: b\n", 299)+"A: b", "\n")...), 431),
	bad("6585 5", "a head of 70 KiB", get("A: "+strings.Repeat("b", 70<<10)), 431),
	bad("6585 5", "a head of 2 MiB", get("A: "+strings.Repeat("b", 2<<20)), 431),
}

var hopByHop = []row{
	{ref: "9110 7.6.1", name: "fields that Connection names", send: get("Connection: X-Hop, close", "X-Hop: 1", "x-hop: 2", "X-End: 3"), status: 200, app: "GET /x HTTP/1.1", has: []string{"X-End: 3"}, lacks: []string{"x-hop"}, closes: true},
	{ref: "9110 7.6.1", name: "several Connection fields", send: get("Connection: A", "Connection: B", "A: 1", "B: 2"), status: 200, app: "GET /x HTTP/1.1", lacks: []string{"a", "b"}},
	{ref: "9110 7.6.1", name: "empty members of Connection", send: get("Connection: ,, A ,", "A: 1"), status: 200, app: "GET /x HTTP/1.1", lacks: []string{"a"}},
	{ref: "9110 7.6.1", name: "Keep-Alive and Proxy-Connection", send: get("Connection: keep-alive", "Keep-Alive: timeout=5", "Proxy-Connection: keep-alive"), status: 200, app: "GET /x HTTP/1.1"},
	{ref: "9110 7.6.1", name: "Connection cannot remove Content-Length", send: "POST /x HTTP/1.1\nHost: a\nConnection: Content-Length\nContent-Length: 3\n\nabc", status: 200, app: "POST /x HTTP/1.1", body: "abc", framing: "length"},
	{ref: "9110 7.6.1", name: "Connection cannot remove Transfer-Encoding", send: "POST /x HTTP/1.1\nHost: a\nConnection: Transfer-Encoding\nTransfer-Encoding: chunked\n\n3\nabc\n0\n\n", status: 200, app: "POST /x HTTP/1.1", body: "abc"},
	{ref: "9110 7.6.1", name: "Connection cannot remove Host", send: get("Connection: Host"), status: 200, app: "GET /x HTTP/1.1", has: []string{"Host: a"}},
	{ref: "9110 7.6.1", name: "Connection cannot remove what the proxy states", send: get("Connection: l5d-client-id"), status: 200, app: "GET /x HTTP/1.1", lacks: []string{"none"}},
	{ref: "9110 10.1.4", name: "TE: trailers goes on", send: get("TE: trailers", "Connection: TE"), status: 200, app: "GET /x HTTP/1.1", has: []string{"TE: trailers", "Connection: TE"}},
	{ref: "9110 10.1.4", name: "of TE only trailers goes on", send: get("TE: gzip, trailers;q=0.5, deflate", "TE: trailers", "Connection: TE"), status: 200, app: "GET /x HTTP/1.1", has: []string{"TE: trailers"}},
	{ref: "9110 10.1.4", name: "other TE does not", send: get("TE: gzip", "Connection: TE"), status: 200, app: "GET /x HTTP/1.1", lacks: []string{"te"}},
	{ref: "9110 7.8", name: "Upgrade without Connection", send: get("Upgrade: websocket"), status: 200, app: "GET /x HTTP/1.1", lacks: []string{"upgrade"}},
	{ref: "9113 3.1", name: "Upgrade to h2c is not offered on", send: get("Upgrade: h2c", "Connection: Upgrade, HTTP2-Settings", "HTTP2-Settings: AAMAAABkAAQAAP__"), status: 200, app: "GET /x HTTP/1.1", lacks: []string{"upgrade", "http2-settings"}},
	{ref: "9110 7.8", name: "Upgrade of HTTP/1.0 is ignored", send: "GET /x HTTP/1.0\nHost: a\nConnection: upgrade\nUpgrade: websocket\n\n", status: 200, app: "GET /x HTTP/1.1", lacks: []string{"upgrade"}, closes: true},
	{ref: "9110 7.6.2", name: "Max-Forwards of TRACE is the application's", send: "TRACE /x HTTP/1.1\nHost: a\nMax-Forwards: 0\n\n", status: 200, app: "TRACE /x HTTP/1.1", has: []string{"Max-Forwards: 0"}},
	{ref: "9110 7.6.2", name: "Max-Forwards of OPTIONS too", send: "OPTIONS /x HTTP/1.1\nHost: a\nMax-Forwards: 3\n\n", status: 200, app: "OPTIONS /x HTTP/1.1", has: []string{"Max-Forwards: 3"}},
	{ref: "9110 7.6.3", name: "no Via is added, one that is there stays", send: get("Via: 1.1 before"), status: 200, app: "GET /x HTTP/1.1", has: []string{"Via: 1.1 before"}, wantLacks: []string{"via"}},
	{ref: "9110 7.6.3", name: "no Via is added", send: get(), status: 200, app: "GET /x HTTP/1.1", lacks: []string{"via", "x-forwarded-for", "forwarded"}, wantLacks: []string{"via"}},
	{ref: "9", name: "fields that only proxies may say", send: get("weft-proxy-error: x", "weft-unprocessed: 1"), status: 200, app: "GET /x HTTP/1.1", lacks: []string{"weft-proxy-error", "weft-unprocessed"}},
	{ref: "9.3", name: "close", send: get("Connection: close"), status: 200, app: "GET /x HTTP/1.1", want: []string{"Connection: close"}, closes: true},
	{ref: "9.3", name: "CLOSE", send: get("Connection: CLOSE"), status: 200, app: "GET /x HTTP/1.1", closes: true},
	{ref: "9.3", name: "HTTP/1.0 does not persist", send: "GET /x HTTP/1.0\nHost: a\n\n", status: 200, app: "GET /x HTTP/1.1", closes: true},
	{ref: "9.3", name: "a proxy does not let HTTP/1.0 persist", send: "GET /x HTTP/1.0\nHost: a\nConnection: keep-alive\n\n", status: 200, app: "GET /x HTTP/1.1", closes: true},
}
