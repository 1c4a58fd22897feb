{{/* Labels of everything in this chart: `weft uninstall` finds it by them. */}}
{{- define "weft.labels" -}}
app.kubernetes.io/name: weft
app.kubernetes.io/part-of: weft
app.kubernetes.io/version: {{ include "weft.tag" . | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
weft.mesh/control-plane: {{ .Release.Namespace }}
{{- with .Values.labels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "weft.tag" -}}
{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- define "weft.image" -}}
{{ .root.Values.image.registry }}/{{ .name }}:{{ include "weft.tag" .root }}
{{- end }}
