package mesh

import (
	"encoding/json"
	"fmt"
	"time"
)

// Duration is a time.Duration that prints itself, such as 1m30s.
type Duration time.Duration

// MarshalJSON implements json.Marshaler.
func (d Duration) MarshalJSON() ([]byte, error) { return json.Marshal(time.Duration(d).String()) }

// UnmarshalJSON implements json.Unmarshaler.
func (d *Duration) UnmarshalJSON(b []byte) error {
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return fmt.Errorf("a duration is a string such as 1m30s: %w", err)
	}
	v, err := time.ParseDuration(s)
	*d = Duration(v)
	return err
}

// Std returns the standard library's form.
func (d Duration) Std() time.Duration { return time.Duration(d) }

// After returns a pointer to a duration, for fields in which nil means that
// nothing was said.
func After(d time.Duration) *Duration {
	v := Duration(d)
	return &v
}
