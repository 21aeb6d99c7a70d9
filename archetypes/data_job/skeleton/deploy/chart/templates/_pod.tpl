{{- define "job.pod" -}}
metadata:
  labels:
    {{- include "service.labels" . | nindent 4 }}
    azure.workload.identity/use: "true"
spec:
  serviceAccountName: {{ .Chart.Name }}
  automountServiceAccountToken: false
  restartPolicy: Never
  securityContext:
    runAsNonRoot: true
    runAsUser: 10001
    runAsGroup: 10001
    seccompProfile:
      type: RuntimeDefault
  containers:
    - name: job
      image: "{{ required "image.repository is required" .Values.image.repository }}@{{ required "image.digest is required" .Values.image.digest }}"
      imagePullPolicy: IfNotPresent
      command: [python, -m, app.main]
      args: {{ .arguments | toJson }}
      env:
        - name: APP_ENVIRONMENT
          value: {{ .Values.environment | quote }}
        - name: APP_VERSION
          value: {{ .Values.version | toString | quote }}
        - name: KEY_VAULT_URI
          value: {{ .Values.keyVaultUri | quote }}
        - name: STORAGE_URL
          value: {{ .Values.storage.url | quote }}
        - name: STORAGE_CONTAINER
          value: {{ .Values.storage.container | quote }}
      resources:
        {{- toYaml .Values.resources | nindent 8 }}
      securityContext:
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        capabilities:
          drop: [ALL]
      volumeMounts:
        - name: tmp
          mountPath: /tmp
  volumes:
    - name: tmp
      emptyDir:
        sizeLimit: 256Mi
{{- end -}}
