package control

import (
	"strings"
	"testing"

	"github.com/weftmesh/weft/mesh"
)

func TestCheckLog(t *testing.T) {
	for _, c := range []struct {
		log  mesh.LogSettings
		tell string // empty where it is good
	}{
		{mesh.LogSettings{}, ""},
		{mesh.LogSettings{File: "/dev/stdout"}, ""},
		{mesh.LogSettings{File: "/dev/stdout", JSON: true}, ""},
		{mesh.LogSettings{Format: "%PROTOCOL% %FILTER_STATE(a)%\n"}, ""},
		{mesh.LogSettings{Format: "%NOTHING_LIKE_IT%"}, "%NOTHING_LIKE_IT%"},
		{mesh.LogSettings{JSON: true, Format: `{"a":{"b":["%PROTOCOL%",1]}}`}, ""},
		{mesh.LogSettings{JSON: true, Format: `{"a":{"b":["%PROTOCOL"]}}`}, "a: b:"},
		{mesh.LogSettings{JSON: true, Format: `["a"]`}, "object"},
	} {
		err := checkLog(c.log)
		if (err == nil) != (c.tell == "") || err != nil && !strings.Contains(err.Error(), c.tell) {
			t.Errorf("%+v: %v", c.log, err)
		}
	}
	for _, a := range []mesh.AccessLog{mesh.Apache, mesh.JSONLog} {
		l, ok := a.Logger()
		if err := checkLog(mesh.LogSettings{JSON: l.JSON != "", Format: l.Text + l.JSON}); !ok || err != nil {
			t.Errorf("%s: %v", a, err)
		}
	}
}
