package h2

import "time"

// calm bounds what a peer may ask of us without doing useful work: frames that
// cost an answer or carry nothing, and streams that it drops before they are
// answered (CVE-2019-9512 and its siblings, CVE-2023-44487). Useful frames and
// time earn credit. The connection's lock guards it.
type calm struct {
	now    func() time.Time
	last   time.Time
	idle   float64 // credit for SETTINGS, PING, PRIORITY, unknown and empty frames
	resets float64 // credit for streams that were wasted
	most   float64 // of resets
	// updates is credit for WINDOW_UPDATE: DATA that was sent earns it, without a
	// limit, since a peer may give it back late.
	updates float64
}

const (
	calmFrames    = 1000
	calmFramesPer = 200 // a second
	// calmUpdates is how many WINDOW_UPDATE frames answer one of DATA at most; a
	// peer that says what it consumes in small pieces needs some.
	calmUpdates   = 10
	calmResets    = 1000
	calmResetsPer = 200 // a second
)

func newCalm(o Options) calm {
	most := float64(max(calmResets, 4*int(o.MaxStreams)))
	return calm{now: o.Now, last: o.Now(), idle: calmFrames, resets: most, most: most, updates: calmFrames}
}

// refill pays in the credit of the time that passed.
func (l *calm) refill() {
	now := l.now()
	if d := now.Sub(l.last).Seconds(); d > 0 {
		l.idle = min(calmFrames, l.idle+d*calmFramesPer)
		l.resets = min(l.most, l.resets+d*calmResetsPer)
		l.updates = max(l.updates, min(calmFrames, l.updates+d*calmFramesPer))
		l.last = now
	}
}

// useful pays for n frames that carried something.
func (l *calm) useful(n int) { l.idle = min(calmFrames, l.idle+float64(n)) }

// opened pays for what a stream may bring: a peer that makes each one's window
// larger at once.
func (l *calm) opened() {
	l.useful(1)
	l.updates++
}

// answered pays for streams that ran to their response.
func (l *calm) answered(n int) { l.resets = min(l.most, l.resets+float64(n)) }

// sent pays for the WINDOW_UPDATE frames that a frame of DATA brings.
func (l *calm) sent() {
	l.useful(1)
	l.updates += calmUpdates
}

// updated takes the price of a WINDOW_UPDATE.
func (l *calm) updated() *ConnError {
	if l.updates--; l.updates >= 0 {
		return nil
	}
	if l.refill(); l.updates >= 0 {
		return nil
	}
	return connErr(CodeEnhanceYourCalm, "too many WINDOW_UPDATE frames")
}

// wastedFrame takes the price of a frame without use.
func (l *calm) wastedFrame() *ConnError {
	if l.idle--; l.idle >= 0 {
		return nil
	}
	if l.refill(); l.idle >= 0 {
		return nil
	}
	return connErr(CodeEnhanceYourCalm, "too many frames without use")
}

// wastedStream takes the price of a stream that came to nothing.
func (l *calm) wastedStream() *ConnError {
	if l.resets--; l.resets >= 0 {
		return nil
	}
	if l.refill(); l.resets >= 0 {
		return nil
	}
	return connErr(CodeEnhanceYourCalm, "too many streams reset")
}

// resetRing remembers the streams that this side reset last: the peer may
// still send on them, and that is no error.
type resetRing struct {
	ids  []uint32
	next int
}

const resetRingSize = 512

func (r *resetRing) add(id uint32) {
	if len(r.ids) < resetRingSize {
		r.ids = append(r.ids, id)
		return
	}
	r.ids[r.next] = id
	r.next = (r.next + 1) % resetRingSize
}

func (r *resetRing) has(id uint32) bool {
	for _, x := range r.ids {
		if x == id {
			return true
		}
	}
	return false
}
