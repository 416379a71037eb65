// Writes which settings the components of this Collector have, as JSON: struct types by name, and the type of each component.
//
// It stands in the place of main.go beside the components.go that the Collector's builder makes, and asks the factories.
package main

import (
	"encoding"
	"encoding/json"
	"os"
	"reflect"
	"strings"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/service/telemetry/otelconftelemetry"
)

var (
	duration        = reflect.TypeOf(time.Duration(0))
	textUnmarshaler = reflect.TypeOf((*encoding.TextUnmarshaler)(nil)).Elem()
	unmarshaler     = reflect.TypeOf((*confmap.Unmarshaler)(nil)).Elem()
	types           = map[string]map[string]string{}
)

func nameOf(t reflect.Type) string {
	path := t.PkgPath()
	return path[strings.LastIndex(path, "/")+1:] + "." + strings.SplitN(t.Name(), "[", 2)[0]
}

func expression(t reflect.Type) string {
	if t == duration {
		return "duration"
	}
	if strings.HasPrefix(t.Name(), "Optional[") {
		get, _ := reflect.PointerTo(t).MethodByName("Get")
		return "?" + expression(get.Type.Out(0).Elem())
	}
	if t.Kind() == reflect.Pointer {
		return expression(t.Elem())
	}
	if reflect.PointerTo(t).Implements(textUnmarshaler) {
		return "text"
	}
	custom := reflect.PointerTo(t).Implements(unmarshaler)
	switch t.Kind() {
	case reflect.String:
		return "string"
	case reflect.Bool:
		return "bool"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return "int"
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return "uint"
	case reflect.Float32, reflect.Float64:
		return "float"
	case reflect.Slice, reflect.Array:
		if custom {
			return "any"
		}
		return "[]" + expression(t.Elem())
	case reflect.Map:
		if custom {
			return "any"
		}
		return "{}" + expression(t.Elem())
	case reflect.Struct:
		name := nameOf(t)
		if _, ok := types[name]; !ok {
			types[name] = map[string]string{}
			fields(t, types[name])
			if custom {
				types[name]["*custom"] = "any"
			}
		}
		return name
	default:
		return "any"
	}
}

func fields(t reflect.Type, into map[string]string) {
	for i := 0; i < t.NumField(); i++ {
		field := t.Field(i)
		parts := strings.Split(field.Tag.Get("mapstructure"), ",")
		name, options := parts[0], parts[1:]
		squash, remain := field.Anonymous && len(parts) > 1, false
		for _, option := range options {
			squash = squash || option == "squash"
			remain = remain || option == "remain"
		}
		switch {
		case remain:
			into["*"] = "any"
		case name == "-" || (!field.IsExported() && !squash):
		case squash:
			inner := field.Type
			for inner.Kind() == reflect.Pointer {
				inner = inner.Elem()
			}
			if inner.Kind() == reflect.Struct {
				fields(inner, into)
				if reflect.PointerTo(inner).Implements(unmarshaler) {
					into["*custom"] = "any"
				}
			} else {
				into["*"] = "any"
			}
		default:
			if name == "" {
				name = strings.ToLower(field.Name)
			}
			into[name] = expression(field.Type)
		}
	}
}

func add[T component.Factory](into map[string]string, factories map[component.Type]T) {
	for kind, factory := range factories {
		config := reflect.TypeOf(factory.CreateDefaultConfig())
		into[kind.String()] = expression(config)
	}
}

func main() {
	factories, err := components()
	if err != nil {
		panic(err)
	}
	found := map[string]map[string]string{"receivers": {}, "processors": {}, "exporters": {}, "connectors": {}, "extensions": {}}
	add(found["receivers"], factories.Receivers)
	add(found["processors"], factories.Processors)
	add(found["exporters"], factories.Exporters)
	add(found["connectors"], factories.Connectors)
	add(found["extensions"], factories.Extensions)
	telemetry := otelconftelemetry.NewFactory().CreateDefaultConfig()
	found["service"] = map[string]string{"telemetry": expression(reflect.TypeOf(telemetry))}
	encoder := json.NewEncoder(os.Stdout)
	encoder.SetIndent("", " ")
	_ = encoder.Encode(map[string]any{"types": types, "components": found})
}
