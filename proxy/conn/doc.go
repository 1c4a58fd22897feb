// Package conn is the one connection type of the data path. It moves bytes
// with non-blocking system calls inside the netpoller's callbacks, takes its
// buffers from pools only after bytes have arrived, gathers writes until
// somebody would wait, and looks the same whether the bytes are plaintext or
// come out of mutual TLS.
//
// One goroutine may read while another one writes. Views that Buffered
// returns, and everything parsed out of them, stay valid until the next call
// of Fill, Read or Release on the same Conn.
package conn
