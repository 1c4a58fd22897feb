// Package balance chooses one of several members by what is known of each:
// how much it is doing, how long it takes, whether it failed lately.
//
// A Member is the load and latency of one address, a Health what its answers
// say of it within one cluster. Both outlive configuration changes, so whoever
// owns endpoints keeps them. A Set is one immutable list of entries; it holds a
// view of which of them get traffic at the moment, by priority, locality and
// health, which Refresh brings up to date. A Picker holds what an algorithm
// needs between picks and survives them all. A Detector takes members out that
// answer badly, by Envoy's rules of outlier detection or by Linkerd's of failure
// accrual.
//
// A pick is lock-free and allocates nothing. Members that drain, that were
// penalised after a failed connect, or that the same request has tried before
// are chosen only when no other is left, so that a service whose every endpoint
// failed once is still tried. Members that a Detector has taken out get nothing,
// unless so many are out that the panic threshold says to ignore it.
//
// Times are nanoseconds of one clock that never steps back, such as
// int64(time.Since(start)); the package reads no clock itself.
package balance
