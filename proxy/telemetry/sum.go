package telemetry

import "sort"

// sums is a histogram added up from several.
type sums struct {
	buckets []uint64
	sum     uint64
}

func (s *sums) add(h *histogram) {
	if s.buckets == nil {
		s.buckets = make([]uint64, len(h.buckets))
	}
	for i := range h.buckets {
		s.buckets[i] += h.buckets[i].Load()
	}
	s.sum += h.sum.Load()
}

func (s *sums) histogram() *histogram {
	var h histogram
	h.fill(s.buckets, s.sum)
	return &h
}

// httpSum is the answers with the same labels.
type httpSum struct {
	labels                              string
	count                               uint64
	firstByte, total, request, response sums
}

func sumHTTP(hs []*HTTP, label func(*HTTP, *class) string) []*httpSum {
	by := map[string]*httpSum{}
	var out []*httpSum
	for _, h := range hs {
		for _, c := range *h.classes.Load() {
			l := label(h, c)
			s := by[l]
			if s == nil {
				s = &httpSum{labels: l}
				by[l] = s
				out = append(out, s)
			}
			s.count += c.count.Load()
			s.firstByte.add(&c.firstByte)
			s.total.add(&c.total)
			s.request.add(&c.requestSize)
			s.response.add(&c.responseSize)
		}
	}
	sort.Slice(out, func(i, j int) bool { return out[i].labels < out[j].labels })
	return out
}

// tcpSum is the connections with the same labels. received and sent are as
// the client sees the flow's server: requests and responses.
type tcpSum struct {
	labels                                string
	opened, read, written, received, sent uint64
	current                               int64
	closed                                map[string]uint64
	duration                              sums
}

func sumTCP(ts []*TCP, label func(*TCP) string) []*tcpSum {
	by := map[string]*tcpSum{}
	var out []*tcpSum
	for _, t := range ts {
		l := label(t)
		s := by[l]
		if s == nil {
			s = &tcpSum{labels: l, closed: map[string]uint64{}}
			by[l] = s
			out = append(out, s)
		}
		t.mu.Lock()
		for reason, n := range t.closed {
			s.closed[reason] += n
		}
		t.mu.Unlock()
		s.duration.add(&t.duration)
		read, written := t.read.Load(), t.written.Load()
		s.opened += t.opened.Load()
		s.current += t.current.Load()
		s.read += read
		s.written += written
		if t.key.Side == Src {
			s.received, s.sent = s.received+read, s.sent+written
		} else {
			s.received, s.sent = s.received+written, s.sent+read
		}
	}
	sort.Slice(out, func(i, j int) bool { return out[i].labels < out[j].labels })
	return out
}

func (s *tcpSum) closes() (n uint64) {
	for _, c := range s.closed {
		n += c
	}
	return n
}

func (s *tcpSum) reasons() []string {
	names := make([]string, 0, len(s.closed))
	for n := range s.closed {
		names = append(names, n)
	}
	sort.Strings(names)
	return names
}
