package dataplane

import "strings"

// replied is a GET that the application answers so.
func replied(ref, name, reply string, status int, body, frame string) row {
	return row{ref: ref, name: name, send: get(), app: "GET /x HTTP/1.1", reply: reply, status: status, wantBody: body, wantFrame: frame}
}

// unfit is a response that nobody may be given.
func unfit(ref, name, reply string) row {
	return row{ref: ref, name: name, send: get(), app: "GET /x HTTP/1.1", reply: reply, ends: true, status: 502}
}

func unfitRaw(ref, name, reply string) row {
	return row{ref: ref, name: name, raw: true, send: crlf(get()), app: "GET /x HTTP/1.1", reply: reply, ends: true, status: 502}
}

var statusLines = []row{
	{ref: "4", name: "the reason is kept", send: get(), app: "GET /x HTTP/1.1", reply: "HTTP/1.1 200 Quite Fine\nContent-Length: 0\n\n", status: 200, want: []string{"HTTP/1.1 200 Quite Fine"}},
	{ref: "4", name: "no reason", send: get(), app: "GET /x HTTP/1.1", reply: "HTTP/1.1 200 \nContent-Length: 0\n\n", status: 200, want: []string{"HTTP/1.1 200 "}},
	{ref: "4", name: "no space before a missing reason", send: get(), app: "GET /x HTTP/1.1", reply: "HTTP/1.1 200\nContent-Length: 0\n\n", status: 200, want: []string{"HTTP/1.1 200 "}},
	{ref: "4", name: "obs-text in the reason", send: get(), app: "GET /x HTTP/1.1", reply: "HTTP/1.1 200 D\xe9j\xe0\nContent-Length: 0\n\n", status: 200, want: []string{"HTTP/1.1 200 D\xe9j\xe0"}},
	replied("9110 15", "a status nobody knows", "HTTP/1.1 299 x\nContent-Length: 2\n\nok", 299, "ok", "length"),
	replied("9110 15", "600", "HTTP/1.1 599 x\nContent-Length: 2\n\nok", 599, "ok", "length"),
	replied("9110 2.5", "the client's side keeps its version", "HTTP/1.0 200 OK\nContent-Length: 2\n\nok", 200, "ok", "length"),
	unfit("4", "not HTTP", "hello\n\n"),
	unfit("4", "another protocol's greeting", "SSH-2.0-OpenSSH_9.6\n\n"),
	unfit("4", "status of two digits", "HTTP/1.1 20 OK\nContent-Length: 0\n\n"),
	unfit("4", "status of four digits", "HTTP/1.1 2000 OK\nContent-Length: 0\n\n"),
	unfit("4", "status below 100", "HTTP/1.1 099 OK\nContent-Length: 0\n\n"),
	unfit("4", "two spaces", "HTTP/1.1  200 OK\nContent-Length: 0\n\n"),
	unfit("2.3", "HTTP/2.0 as text", "HTTP/2.0 200 OK\nContent-Length: 0\n\n"),
	unfitRaw("2.2", "bare LF", "HTTP/1.1 200 OK\nContent-Length: 0\n\n"),
	unfitRaw("4", "NUL in the reason", "HTTP/1.1 200 O\x00K\r\nContent-Length: 0\r\n\r\n"),
	{ref: "9110 15.2", name: "103 goes on", send: get(), app: "GET /x HTTP/1.1", reply: "HTTP/1.1 103 Early Hints\nLink: </a>\n\nHTTP/1.1 200 OK\nContent-Length: 2\n\nok", status: 200, interim: []string{"HTTP/1.1 103 Early Hints"}, wantBody: "ok"},
	{ref: "9110 15.2", name: "several interim responses", send: get(), app: "GET /x HTTP/1.1", reply: "HTTP/1.1 102 Processing\n\nHTTP/1.1 103 Early Hints\nLink: </a>\n\nHTTP/1.1 103 Early Hints\nLink: </b>\n\nHTTP/1.1 200 OK\nContent-Length: 2\n\nok", status: 200, interim: []string{"HTTP/1.1 102 Processing", "HTTP/1.1 103 Early Hints", "HTTP/1.1 103 Early Hints"}},
	{ref: "9110 15.2", name: "not to HTTP/1.0", send: "GET /x HTTP/1.0\nHost: a\n\n", app: "GET /x HTTP/1.1", reply: "HTTP/1.1 103 Early Hints\nLink: </a>\n\nHTTP/1.1 200 OK\nContent-Length: 2\n\nok", status: 200, closes: true, wantBody: "ok"},
	unfit("9110 15.2.2", "101 that nobody asked for", "HTTP/1.1 101 Switching Protocols\nUpgrade: x\nConnection: Upgrade\n\nGET / HTTP/1.1\n\n"),
	{ref: "9110 15.2", name: "interim responses without end", send: get(), app: "GET /x HTTP/1.1", reply: strings.Repeat("HTTP/1.1 103 Early Hints\n\n", 1000), ends: true, status: 502, or: 503, interims: true},
}

var responseBodies = []row{
	replied("6.3", "length", okReplyLF, 200, "ok", "length"),
	replied("6.3", "length 0", "HTTP/1.1 200 OK\nContent-Length: 0\n\n", 200, "-", "length"),
	replied("6.3", "chunked", "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n3\nabc\n2;x=y\nde\n0\n\n", 200, "abcde", "chunked"),
	{ref: "7.1.2", name: "trailers", send: get("TE: trailers", "Connection: TE"), app: "GET /x HTTP/1.1", reply: "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\nTrailer: X-Sum\n\n3\nabc\n0\nX-Sum: 1\nGrpc-Status: 0\n\n", status: 200, wantBody: "abc", want: []string{"Trailer: X-Sum"}, wantTrail: []string{"X-Sum: 1", "Grpc-Status: 0"}},
	{ref: "6.3", name: "until close becomes chunks", send: get(), app: "GET /x HTTP/1.1", reply: "HTTP/1.1 200 OK\n\nhello", ends: true, status: 200, wantBody: "hello", wantFrame: "chunked"},
	{ref: "6.3", name: "until close to HTTP/1.0", send: "GET /x HTTP/1.0\nHost: a\n\n", app: "GET /x HTTP/1.1", reply: "HTTP/1.1 200 OK\n\nhello", ends: true, status: 200, wantBody: "hello", wantFrame: "close", closes: true},
	{ref: "7", name: "chunks to HTTP/1.0", send: "GET /x HTTP/1.0\nHost: a\n\n", app: "GET /x HTTP/1.1", reply: "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n3\nabc\n0\nX: y\n\n", status: 200, wantBody: "abc", wantFrame: "close", closes: true},
	{ref: "6.3", name: "a server that closes afterwards", send: get(), app: "GET /x HTTP/1.1", reply: "HTTP/1.1 200 OK\nConnection: close\nContent-Length: 2\n\nok", ends: true, status: 200, wantBody: "ok"},
	{ref: "9110 9.3.2", name: "HEAD with a length", send: "HEAD /x HTTP/1.1\nHost: a\n\n", app: "HEAD /x HTTP/1.1", reply: "HTTP/1.1 200 OK\nContent-Length: 12345\n\n", status: 200, want: []string{"Content-Length: 12345"}, wantBody: "-"},
	{ref: "9110 9.3.2", name: "HEAD that would be chunked", send: "HEAD /x HTTP/1.1\nHost: a\n\n", app: "HEAD /x HTTP/1.1", reply: "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n", status: 200, wantBody: "-"},
	{ref: "9110 9.3.2", name: "HEAD without either", send: "HEAD /x HTTP/1.1\nHost: a\n\n", app: "HEAD /x HTTP/1.1", reply: "HTTP/1.1 200 OK\n\n", status: 200, wantBody: "-"},
	{ref: "9110 15.3.5", name: "204", send: get(), app: "GET /x HTTP/1.1", reply: "HTTP/1.1 204 No Content\n\n", status: 204, wantLacks: []string{"content-length", "transfer-encoding"}},
	{ref: "9110 8.6", name: "204 loses its length", send: get(), app: "GET /x HTTP/1.1", reply: "HTTP/1.1 204 No Content\nContent-Length: 0\n\n", status: 204, wantLacks: []string{"content-length"}},
	{ref: "9110 15.4.5", name: "304 keeps its length", send: get("If-None-Match: \"x\""), app: "GET /x HTTP/1.1", reply: "HTTP/1.1 304 Not Modified\nEtag: \"x\"\nContent-Length: 777\n\n", status: 304, want: []string{"Content-Length: 777", "Etag: \"x\""}},
	replied("9110 15.3.6", "205", "HTTP/1.1 205 Reset Content\nContent-Length: 0\n\n", 205, "-", ""),
	replied("6.3", "the same length twice becomes one", "HTTP/1.1 200 OK\nContent-Length: 2\nContent-Length: 2\n\nok", 200, "ok", "length"),
	unfit("6.3", "two lengths", "HTTP/1.1 200 OK\nContent-Length: 2\nContent-Length: 3\n\nok"),
	unfit("9110 8.6", "malformed length", "HTTP/1.1 200 OK\nContent-Length: 2x\n\nok"),
	unfit("9110 8.6", "negative length", "HTTP/1.1 200 OK\nContent-Length: -2\n\nok"),
	unfit("6.3", "length and chunked", "HTTP/1.1 200 OK\nContent-Length: 2\nTransfer-Encoding: chunked\n\n0\n\n"),
	unfit("6.3", "a coding nobody asked for", "HTTP/1.1 200 OK\nTransfer-Encoding: gzip, chunked\n\n0\n\n"),
	unfit("6.1", "coding in HTTP/1.0", "HTTP/1.0 200 OK\nTransfer-Encoding: chunked\n\n0\n\n"),
	{ref: "8", name: "shorter than its length", send: get(), app: "GET /x HTTP/1.1", reply: "HTTP/1.1 200 OK\nContent-Length: 9\n\nok", ends: true, cut: true},
	{ref: "8", name: "chunks without an end", send: get(), app: "GET /x HTTP/1.1", reply: "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n2\nok\n", ends: true, cut: true},
	{ref: "7.1", name: "a malformed chunk", send: get(), app: "GET /x HTTP/1.1", reply: "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n2\nok\nx\n", ends: true, cut: true},
	{ref: "7.1", name: "a chunk beyond 64 bits", send: get(), app: "GET /x HTTP/1.1", reply: "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n2\nok\n10000000000000000\n\n", ends: true, cut: true},
	{ref: "8", name: "trailers without an end", send: get(), app: "GET /x HTTP/1.1", reply: "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n2\nok\n0\nA: b\n", ends: true, cut: true},
}

const okReplyLF = "HTTP/1.1 200 OK\nContent-Length: 2\n\nok"

var responseFields = []row{
	{ref: "5", name: "names keep their case, fields their order", send: get(), app: "GET /x HTTP/1.1", reply: "HTTP/1.1 200 OK\nX-A: 1\nSet-Cookie: a=b\nset-cookie: c=d\nContent-Length: 0\n\n", status: 200, want: []string{"X-A: 1", "Set-Cookie: a=b", "set-cookie: c=d"}},
	{ref: "9110 7.6.1", name: "fields that Connection names", send: get(), app: "GET /x HTTP/1.1", reply: "HTTP/1.1 200 OK\nConnection: X-Hop\nX-Hop: 1\nKeep-Alive: timeout=5\nContent-Length: 0\n\n", status: 200, wantLacks: []string{"x-hop", "keep-alive"}},
	{ref: "9110 15.5.22", name: "426 says what it wants", send: get(), app: "GET /x HTTP/1.1", reply: "HTTP/1.1 426 Upgrade Required\nUpgrade: TLS/1.2\nConnection: Upgrade\nContent-Length: 0\n\n", status: 426, want: []string{"Upgrade: TLS/1.2", "Connection: Upgrade"}},
	{ref: "9110 7.8", name: "other responses offer no upgrade", send: get(), app: "GET /x HTTP/1.1", reply: "HTTP/1.1 200 OK\nUpgrade: h2c\nConnection: Upgrade\nContent-Length: 0\n\n", status: 200, wantLacks: []string{"upgrade"}},
	{ref: "9110 6.6.1", name: "a Date stays, none is added", send: get(), app: "GET /x HTTP/1.1", reply: okReplyLF, status: 200, wantLacks: []string{"date", "via", "server"}},
	{ref: "9110 6.6.1", name: "Date", send: get(), app: "GET /x HTTP/1.1", reply: "HTTP/1.1 200 OK\nDate: Sun, 06 Nov 1994 08:49:37 GMT\nContent-Length: 0\n\n", status: 200, want: []string{"Date: Sun, 06 Nov 1994 08:49:37 GMT"}},
	{ref: "9", name: "the application cannot speak for a proxy", send: get(), app: "GET /x HTTP/1.1", reply: "HTTP/1.1 503 No\nweft-proxy-error: x\nweft-unprocessed: 1\nContent-Length: 0\n\n", status: 503, wantLacks: []string{"weft-proxy-error", "weft-unprocessed"}},
	unfit("5.2", "folded line", "HTTP/1.1 200 OK\nA: b\n c\nContent-Length: 0\n\n"),
	unfit("5.1", "space before the colon", "HTTP/1.1 200 OK\nA : b\nContent-Length: 0\n\n"),
	unfit("5.1", "no colon", "HTTP/1.1 200 OK\nA\nContent-Length: 0\n\n"),
	unfitRaw("9110 5.5", "bare CR in a value", "HTTP/1.1 200 OK\r\nA: b\rSet-Cookie: c\r\nContent-Length: 0\r\n\r\n"),
	unfitRaw("9110 5.5", "NUL in a value", "HTTP/1.1 200 OK\r\nA: b\x00\r\nContent-Length: 0\r\n\r\n"),
	unfit("9110 5.4", "a head of 70 KiB", "HTTP/1.1 200 OK\nA: "+strings.Repeat("b", 70<<10)+"\nContent-Length: 0\n\n"),
	unfit("9110 5.4", "300 fields", "HTTP/1.1 200 OK\n"+strings.Repeat("A: b\n", 300)+"Content-Length: 0\n\n"),
	{ref: "9110 5.4", name: "a field of 30 KiB", send: get(), app: "GET /x HTTP/1.1", reply: "HTTP/1.1 200 OK\nA: " + strings.Repeat("b", 30<<10) + "\nContent-Length: 0\n\n", status: 200, want: []string{"A: " + strings.Repeat("b", 30<<10)}},
}
