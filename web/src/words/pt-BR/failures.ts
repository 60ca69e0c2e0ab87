import type { Words } from '../en'

export const failures: Words['failures'] = {
  refused: 'O modelo recusa isto. Mude o prompt e gere de novo.',
  invalid: 'O modelo não consegue fazer isto assim. Mude os ajustes ou escolha outro modelo.',
  transient: 'Quem fornece este modelo não respondeu como devia. Gere de novo em instantes.',
  quota: 'Quem fornece este modelo está sobrecarregado. Gere de novo daqui a pouco.',
  misconfigured:
    'Este servidor não consegue usar este modelo agora. Escolha outro ou avise quem cuida do servidor.',
  worker_lost: 'A máquina que trabalhava nisto sumiu. Gere de novo.',
  worker_error: 'A máquina que trabalhava nisto errou. Gere de novo.',
  expired: 'Esperou demais pela sua vez. Gere de novo mais tarde.',
}
