package fragment

// Weights brings weights in thousandths into 32 bits: whole ones stay as they
// are written, others count thousandths; the sum must fit xDS. Nil means that
// there is none above zero.
func Weights(milli []int64) []uint32 {
	whole, sum, scale := true, int64(0), int64(1)
	for _, m := range milli {
		whole = whole && m%1000 == 0
		sum += m
	}
	if sum == 0 {
		return nil
	}
	if whole {
		scale = 1000
	}
	for sum/scale > 1<<31 {
		scale *= 10
	}
	out := make([]uint32, len(milli))
	for i, m := range milli {
		w := m / scale
		if w == 0 && m > 0 {
			w = 1
		}
		out[i] = uint32(w)
	}
	return out
}
