package control

import (
	"encoding/json"
	"fmt"

	"github.com/weftmesh/weft/internal/accessformat"
	"github.com/weftmesh/weft/mesh"
)

// checkLog refuses an access log that proxies could not write: each would
// refuse its listeners with it.
func checkLog(s mesh.LogSettings) error {
	l := s.Logger()
	if l.JSON == "" {
		_, err := accessformat.Parse(l.Text)
		return err
	}
	var object map[string]any
	if err := json.Unmarshal([]byte(l.JSON), &object); err != nil {
		return fmt.Errorf("access log format: want an object in JSON: %w", err)
	}
	return checkValue(object)
}

// checkValue looks at the texts of a JSON format.
func checkValue(v any) error {
	switch v := v.(type) {
	case string:
		_, err := accessformat.Parse(v)
		return err
	case map[string]any:
		for name, inner := range v {
			if err := checkValue(inner); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
	case []any:
		for _, inner := range v {
			if err := checkValue(inner); err != nil {
				return err
			}
		}
	}
	return nil
}
