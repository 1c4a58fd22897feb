package snapshot

import (
	"iter"
	"slices"
)

// fewSlots is up to how many slots are looked for one by one.
const fewSlots = 8

// slots are those of one name by class. Most names have one or two, for which a
// map would take many times the memory; the nil pointer is empty.
type slots struct {
	list    []*slot
	byClass map[Client]*slot // nil while there are few
}

func (s *slots) find(class Client) *slot {
	if s == nil {
		return nil
	}
	if s.byClass != nil {
		return s.byClass[class]
	}
	for _, sl := range s.list {
		if sl.class == class {
			return sl
		}
	}
	return nil
}

func (s *slots) add(sl *slot) {
	s.list = append(s.list, sl)
	if s.byClass == nil && len(s.list) > fewSlots {
		s.byClass = map[Client]*slot{}
		for _, known := range s.list {
			s.byClass[known.class] = known
		}
	} else if s.byClass != nil {
		s.byClass[sl.class] = sl
	}
}

// remove takes a slot away and returns how many are left.
func (s *slots) remove(sl *slot) int {
	if i := slices.Index(s.list, sl); i >= 0 {
		last := len(s.list) - 1
		s.list[i], s.list[last] = s.list[last], nil
		s.list = s.list[:last]
		delete(s.byClass, sl.class)
	}
	return len(s.list)
}

func (s *slots) all() iter.Seq[*slot] {
	return func(yield func(*slot) bool) {
		if s == nil {
			return
		}
		for _, sl := range s.list {
			if !yield(sl) {
				return
			}
		}
	}
}
