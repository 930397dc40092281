{{- define "librechat-watcher.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* Named like the release if that says it all. */}}
{{- define "librechat-watcher.fullname" -}}
{{- $name := include "librechat-watcher.name" . }}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" }}
{{- else if contains $name .Release.Name }}
{{- .Release.Name | trunc 50 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 50 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "librechat-watcher.selector" -}}
app.kubernetes.io/name: {{ include "librechat-watcher.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "librechat-watcher.labels" -}}
{{ include "librechat-watcher.selector" . }}
app.kubernetes.io/part-of: librechat
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "librechat-watcher.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- define "librechat-watcher.configMap" -}}
{{ .Values.existingConfigMap | default (include "librechat-watcher.fullname" .) }}
{{- end }}

{{- define "librechat-watcher.secret" -}}
{{ .Values.existingSecret.name | default (include "librechat-watcher.fullname" .) }}
{{- end }}

{{/* The files in the mounted Secret; each is named like the variable that it stands for. */}}
{{- define "librechat-watcher.secretKeys" -}}
{{- if .Values.existingSecret.name }}
{{- toJson .Values.existingSecret.keys }}
{{- else }}
{{- toJson (prepend (keys .Values.secrets | sortAlpha) "MONGO_URI") }}
{{- end }}
{{- end }}

{{- define "librechat-watcher.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "librechat-watcher.securityContext" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
readOnlyRootFilesystem: true
allowPrivilegeEscalation: false
capabilities:
  drop:
    - ALL
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{/* What any form of the watcher's container has: all but its name and its probes. */}}
{{- define "librechat-watcher.container" -}}
{{- $keys := fromJsonArray (include "librechat-watcher.secretKeys" .) -}}
image: {{ include "librechat-watcher.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
args:
  - run
env:
  {{- if eq .Values.mode "statefulset" }}
  - name: WATCHER_STATE
    value: sqlite:///var/lib/librechat-watcher/state.db
  {{- else if not (has "WATCHER_STATE" $keys) }}
  - name: WATCHER_STATE
    value: mongodb
  {{- end }}
  - name: WATCHER_HTTP
    value: 0.0.0.0:8686
  - name: WATCHER_LOG
    value: json
  {{- range $keys }}
  - name: {{ . }}_FILE
    value: /run/secrets/librechat-watcher/{{ . }}
  {{- end }}
  {{- with .Values.extraEnv }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
ports:
  - name: watcher-http
    containerPort: 8686
resources:
  {{- toYaml .Values.resources | nindent 2 }}
securityContext:
  {{- include "librechat-watcher.securityContext" . | nindent 2 }}
# Whole folders, never a single file (subPath): only those follow a changed ConfigMap or Secret.
volumeMounts:
  - name: watcher-settings
    mountPath: /etc/librechat-watcher
    readOnly: true
  - name: watcher-secrets
    mountPath: /run/secrets/librechat-watcher
    readOnly: true
  - name: watcher-tmp
    mountPath: /tmp
  {{- if eq .Values.mode "statefulset" }}
  - name: watcher-state
    mountPath: /var/lib/librechat-watcher
  {{- else if eq .Values.mode "sidecar" }}
  # Where the token of LibreChat's service account would be: an empty folder, for this container alone.
  - name: watcher-no-token
    mountPath: /var/run/secrets/kubernetes.io/serviceaccount
    readOnly: true
  {{- end }}
{{- end }}

{{- define "librechat-watcher.volumes" -}}
- name: watcher-settings
  configMap:
    name: {{ include "librechat-watcher.configMap" . }}
- name: watcher-secrets
  secret:
    secretName: {{ include "librechat-watcher.secret" . }}
- name: watcher-tmp
  emptyDir:
    sizeLimit: 64Mi
{{- if eq .Values.mode "sidecar" }}
- name: watcher-no-token
  emptyDir:
    sizeLimit: 1Mi
{{- end }}
{{- end }}

{{/*
The watcher as a native sidecar, without its name: for `initContainers` of LibreChat's chart, or of one of yours that
has this chart as a dependency, with mode sidecar:
  initContainers:
    - name: watcher
      {{- include "librechat-watcher.sidecar" (index .Subcharts "librechat-watcher") | nindent 6 }}
  volumes:
    {{- include "librechat-watcher.volumes" (index .Subcharts "librechat-watcher") | nindent 4 }}
and the label `librechat-watcher: sidecar` on the pods. Neither startupProbe nor readinessProbe: LibreChat would wait for
the first, and be taken out of its Service with the second, for no fault of its own.
*/}}
{{- define "librechat-watcher.sidecar" -}}
restartPolicy: Always
{{ include "librechat-watcher.container" . }}
livenessProbe:
  httpGet:
    path: /livez
    port: 8686
  initialDelaySeconds: 30
  periodSeconds: 20
  timeoutSeconds: 5
  failureThreshold: 3
{{- end }}

{{/* For LibreChat's own chart. */}}
{{- define "librechat-watcher.librechatValues" -}}
podLabels:
  librechat-watcher: sidecar
initContainers:
  watcher:
    {{- include "librechat-watcher.sidecar" . | nindent 4 }}
volumes:
  {{- include "librechat-watcher.volumes" . | nindent 2 }}
{{- end }}
