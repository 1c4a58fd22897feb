// Package balance chooses one of several members by what is known of each:
// how much it is doing, how long it takes, whether it failed lately.
//
// A Member is the state of one endpoint. It outlives configuration changes, so
// whoever owns endpoints keeps it. A Set is one immutable list of members with
// their weights, made anew whenever endpoints change. A Picker holds what an
// algorithm needs between picks and survives both.
//
// Members that are fit come first; those that drain or were penalised after a
// failure are chosen only when no fit one is left, so that a service whose
// every endpoint failed once is still tried.
//
// Times are nanoseconds of one clock that never steps back, such as
// int64(time.Since(start)); the package reads no clock itself.
package balance
