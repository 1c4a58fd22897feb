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
}

const (
	calmFrames    = 1000
	calmFramesPer = 200 // a second
	calmResets    = 1000
	calmResetsPer = 200 // a second
)

func newCalm(o Options) calm {
	most := float64(max(calmResets, 4*int(o.MaxStreams)))
	return calm{now: o.Now, last: o.Now(), idle: calmFrames, resets: most, most: most}
}

// refill pays in the credit of the time that passed.
func (l *calm) refill() {
	now := l.now()
	if d := now.Sub(l.last).Seconds(); d > 0 {
		l.idle = min(calmFrames, l.idle+d*calmFramesPer)
		l.resets = min(l.most, l.resets+d*calmResetsPer)
		l.last = now
	}
}

// useful pays for n frames that carried something.
func (l *calm) useful(n int) { l.idle = min(calmFrames, l.idle+float64(n)) }

// answered pays for streams that ran to their response.
func (l *calm) answered(n int) { l.resets = min(l.most, l.resets+float64(n)) }

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
