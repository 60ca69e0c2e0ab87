import type { Words } from '../en'

export const refusals: Words['refusals'] = {
  offline: 'O servidor não responde. Confira sua conexão e tente de novo.',
  busy: 'O servidor está sobrecarregado. Tente de novo daqui a pouco.',
  broken: 'O servidor errou. Tente de novo daqui a pouco; se continuar, avise quem o administra.',
  expired: 'Sua sessão terminou. Entre de novo.',
  unknown: 'Não foi possível fazer isto. Recarregue a página e tente de novo.',
  credits: (required, available) =>
    `Isto precisa de ${required} créditos e há ${available} disponíveis. Peça menos ou adicione créditos.`,
  told: {
    upload_failed: 'O envio foi interrompido. Confira sua conexão e envie de novo.',
    download_failed: 'O arquivo não pôde ser buscado. Recarregue a página e tente de novo.',
    picture_kind: 'Escolha uma imagem: PNG, JPEG, WebP, GIF ou AVIF.',
    picture_large: 'Esta imagem tem mais de 20 MB. Diminua-a e escolha de novo.',
    generation_not_found: 'Estas imagens já não existem. Recarregue a página.',
    identity_not_found: 'Esta identidade já não existe. Recarregue a página.',
    job_not_found: 'Este trabalho já não existe. Recarregue a página.',
    disk_full: 'O servidor está sem espaço. Avise quem o administra.',
    huggingface_token_missing:
      'Este servidor não tem uma conta para publicar identidades. Avise quem o administra.',
    too_few_distinct_images:
      'São necessárias ao menos 3 fotos diferentes. Adicione mais e tente de novo.',
    upload_too_slow: 'As fotos chegaram devagar demais. Tente uma conexão melhor ou menos fotos.',
    idempotency_key_reused: 'Isto já foi enviado com outro conteúdo. Recarregue a página.',
  },
}
