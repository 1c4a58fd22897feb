package istioapi

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"sort"
	"strconv"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"
)

// filler fills messages from decoded JSON and notes what is wrong with it. The
// JSON is that of encoding/json with json.Number.
type filler struct {
	errs, unknown []error
}

func (f *filler) fault(path, format string, args ...any) {
	f.errs = append(f.errs, &FieldError{Field: path, Err: fmt.Errorf("%w: "+format, append([]any{ErrValue}, args...)...)})
}

// Required says whether the API demands a field.
func Required(fd protoreflect.FieldDescriptor) bool {
	list, _ := proto.GetExtension(fd.Options(), annotations.E_FieldBehavior).([]annotations.FieldBehavior)
	for _, b := range list {
		if b == annotations.FieldBehavior_REQUIRED {
			return true
		}
	}
	return false
}

func (f *filler) message(m protoreflect.Message, from map[string]any, path string) {
	fields := m.Descriptor().Fields()
	seen := map[protoreflect.FullName]string{}
	names := make([]string, 0, len(from))
	for name := range from {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		at := path + "." + name
		fd := fields.ByJSONName(name)
		if fd == nil {
			fd = fields.ByTextName(name)
		}
		if fd == nil {
			f.unknown = append(f.unknown, &FieldError{Field: at, Err: ErrUnknown})
			continue
		}
		if from[name] == nil {
			continue
		}
		if o := fd.ContainingOneof(); o != nil {
			if other, taken := seen[o.FullName()]; taken {
				f.fault(at, "only one of %s and %s may be given", other, name)
				continue
			}
			seen[o.FullName()] = name
		}
		f.field(m, fd, from[name], at)
	}
	for i := range fields.Len() {
		if fd := fields.Get(i); Required(fd) {
			if _, given := from[fd.JSONName()]; !given && from[fd.TextName()] == nil {
				f.errs = append(f.errs, &FieldError{Field: path + "." + fd.JSONName(), Err: ErrMissing})
			}
		}
	}
}

func (f *filler) field(m protoreflect.Message, fd protoreflect.FieldDescriptor, v any, at string) {
	switch {
	case fd.IsMap():
		from, ok := v.(map[string]any)
		if !ok {
			f.fault(at, "%s stands where an object belongs", shape(v))
			return
		}
		to := m.Mutable(fd).Map()
		for k, e := range from {
			f.value(to.NewValue, fd.MapValue(), e, at+"."+k, func(x protoreflect.Value) {
				to.Set(protoreflect.ValueOfString(k).MapKey(), x)
			})
		}
	case fd.IsList():
		from, ok := v.([]any)
		if !ok {
			f.fault(at, "%s stands where a list belongs", shape(v))
			return
		}
		to := m.Mutable(fd).List()
		for i, e := range from {
			f.value(to.NewElement, fd, e, at+"["+strconv.Itoa(i)+"]", to.Append)
		}
	default:
		f.value(func() protoreflect.Value { return m.NewField(fd) }, fd, v, at, func(x protoreflect.Value) { m.Set(fd, x) })
	}
}

// value reads one value and hands it to set; nothing is set where it is wrong.
func (f *filler) value(fresh func() protoreflect.Value, fd protoreflect.FieldDescriptor, v any, at string, set func(protoreflect.Value)) {
	if fd.Kind() != protoreflect.MessageKind {
		if x, ok := f.scalar(fd, v, at); ok {
			set(x)
		}
		return
	}
	x := fresh()
	switch name := fd.Message().FullName(); {
	case name == "google.protobuf.Duration":
		s, ok := v.(string)
		d, err := time.ParseDuration(s)
		if !ok || err != nil {
			f.fault(at, "%s is not a duration; write one such as 1.5s or 1m30s", shape(v))
			return
		}
		set(protoreflect.ValueOfMessage(durationpb.New(d).ProtoReflect()))
		return
	case strings.HasSuffix(string(name), "Value") && strings.HasPrefix(string(name), "google.protobuf.") && name != "google.protobuf.Value":
		inner := fd.Message().Fields().ByName("value")
		if y, ok := f.scalar(inner, v, at); ok {
			x.Message().Set(inner, y)
			set(x)
		}
		return
	case strings.HasPrefix(string(name), "google.protobuf."):
		doc, err := json.Marshal(v)
		if err == nil {
			err = protojson.Unmarshal(doc, x.Message().Interface())
		}
		if err != nil {
			f.fault(at, "it cannot be read")
			return
		}
		set(x)
		return
	}
	from, ok := v.(map[string]any)
	if !ok {
		f.fault(at, "%s stands where an object belongs", shape(v))
		return
	}
	f.message(x.Message(), from, at)
	set(x)
}

func (f *filler) scalar(fd protoreflect.FieldDescriptor, v any, at string) (protoreflect.Value, bool) {
	bad := func(want string) (protoreflect.Value, bool) {
		f.fault(at, "%s stands where %s belongs", shape(v), want)
		return protoreflect.Value{}, false
	}
	switch fd.Kind() {
	case protoreflect.StringKind:
		if s, ok := v.(string); ok {
			if hostFields[fd.FullName()] {
				s = strings.Map(lower, s)
			}
			return protoreflect.ValueOfString(s), true
		}
		return bad("a string")
	case protoreflect.BoolKind:
		if b, ok := v.(bool); ok {
			return protoreflect.ValueOfBool(b), true
		}
		return bad("true or false")
	case protoreflect.BytesKind:
		s, ok := v.(string)
		b, err := base64.StdEncoding.DecodeString(s)
		if !ok || err != nil {
			return bad("text in base64")
		}
		return protoreflect.ValueOfBytes(b), true
	case protoreflect.EnumKind:
		return f.enum(fd.Enum(), v, at)
	case protoreflect.DoubleKind, protoreflect.FloatKind:
		if n, err := strconv.ParseFloat(text(v), 64); err == nil {
			return protoreflect.ValueOfFloat64(n), true
		}
		return bad("a number")
	}
	return f.integer(fd, v, bad)
}

func (f *filler) integer(fd protoreflect.FieldDescriptor, v any, bad func(string) (protoreflect.Value, bool)) (protoreflect.Value, bool) {
	n, err := strconv.ParseFloat(text(v), 64)
	if err != nil || n != math.Trunc(n) || math.Abs(n) >= 1<<53 {
		return bad("a whole number")
	}
	switch fd.Kind() {
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
		if n < math.MinInt32 || n > math.MaxInt32 {
			return bad("a number of 32 bits")
		}
		return protoreflect.ValueOfInt32(int32(n)), true
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		if n < 0 || n > math.MaxUint32 {
			return bad("a number from 0 to 4294967295")
		}
		return protoreflect.ValueOfUint32(uint32(n)), true
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		if n < 0 {
			return bad("a number of 0 or more")
		}
		return protoreflect.ValueOfUint64(uint64(n)), true
	}
	return protoreflect.ValueOfInt64(int64(n)), true
}

func (f *filler) enum(e protoreflect.EnumDescriptor, v any, at string) (protoreflect.Value, bool) {
	if s, ok := v.(string); ok {
		if x := e.Values().ByName(protoreflect.Name(s)); x != nil {
			return protoreflect.ValueOfEnum(x.Number()), true
		}
	} else if n, err := strconv.ParseInt(text(v), 10, 32); err == nil {
		if x := e.Values().ByNumber(protoreflect.EnumNumber(n)); x != nil {
			return protoreflect.ValueOfEnum(x.Number()), true
		}
	}
	f.fault(at, "%s is none of %s", shape(v), strings.Join(EnumNames(e), ", "))
	return protoreflect.Value{}, false
}

// EnumNames are the names of an enum's values.
func EnumNames(e protoreflect.EnumDescriptor) []string {
	var out []string
	for i := range e.Values().Len() {
		out = append(out, string(e.Values().Get(i).Name()))
	}
	return out
}

// text is a number as it was written; Istio accepts it as a string as well.
func text(v any) string {
	switch v := v.(type) {
	case json.Number:
		return v.String()
	case string:
		return v
	}
	return ""
}

// shape describes a value to people.
func shape(v any) string {
	switch v := v.(type) {
	case string:
		return strconv.Quote(v)
	case json.Number:
		return v.String()
	case bool:
		return strconv.FormatBool(v)
	case []any:
		return "a list"
	case map[string]any:
		return "an object"
	}
	return "nothing"
}
