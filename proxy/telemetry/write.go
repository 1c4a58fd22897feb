package telemetry

import (
	"bufio"
	"io"
	"sort"
	"strconv"
)

// out writes families one after another. The first error sticks in its buffer.
type out struct {
	w   *bufio.Writer
	num []byte
}

func (r *Registry) write(w io.Writer, families func(*out)) error {
	r.sweep()
	o := &out{w: bufio.NewWriterSize(w, 16<<10)}
	families(o)
	return o.w.Flush()
}

func (o *out) family(name, kind, help string) {
	for _, s := range []string{"# HELP ", name, " ", help, "\n# TYPE ", name, " ", kind, "\n"} {
		o.w.WriteString(s)
	}
}

// name writes a series' name and labels: those of the handle, then more.
func (o *out) name(name, suffix, labels, more string) {
	o.w.WriteString(name)
	o.w.WriteString(suffix)
	if labels != "" || more != "" {
		o.w.WriteByte('{')
		o.w.WriteString(labels)
		if labels != "" && more != "" {
			o.w.WriteByte(',')
		}
		o.w.WriteString(more)
		o.w.WriteByte('}')
	}
	o.w.WriteByte(' ')
}

func (o *out) count(name, labels, more string, v uint64) {
	o.name(name, "", labels, more)
	o.uint(v)
}

func (o *out) uint(v uint64) {
	o.num = strconv.AppendUint(o.num[:0], v, 10)
	o.num = append(o.num, '\n')
	o.w.Write(o.num)
}

func (o *out) value(name, labels string, v float64) {
	o.name(name, "", labels, "")
	o.float(v)
}

func (o *out) float(v float64) {
	o.num = strconv.AppendFloat(o.num[:0], v, 'g', -1, 64)
	o.num = append(o.num, '\n')
	o.w.Write(o.num)
}

// histogram writes the cumulated buckets. The count is the last bucket, so
// that both agree although values arrive meanwhile.
func (o *out) histogram(name, labels, more string, b *bounds, h *histogram) {
	if more != "" {
		more += ","
	}
	var n uint64
	for i := range h.buckets {
		n += h.buckets[i].Load()
		le := "+Inf"
		if i < len(b.text) {
			le = b.text[i]
		}
		o.name(name, "_bucket", labels, more+`le="`+le+`"`)
		o.uint(n)
	}
	if more != "" {
		more = more[:len(more)-1]
	}
	o.name(name, "_sum", labels, more)
	o.float(float64(h.sum.Load()) / b.unit)
	o.name(name, "_count", labels, more)
	o.uint(n)
}

// snapshot returns the handles in the order of their labels.
func (r *Registry) snapshot() ([]*HTTP, []*TCP) {
	r.mu.Lock()
	hs, ts := make([]*HTTP, 0, len(r.http)), make([]*TCP, 0, len(r.tcp))
	for _, h := range r.http {
		hs = append(hs, h)
	}
	for _, t := range r.tcp {
		ts = append(ts, t)
	}
	r.mu.Unlock()
	sort.Slice(hs, func(i, j int) bool { return hs[i].labels.linkerd < hs[j].labels.linkerd })
	sort.Slice(ts, func(i, j int) bool { return ts[i].labels.linkerd < ts[j].labels.linkerd })
	return hs, ts
}
